"""RDAL reproduced, beside what it is compared with and our own two methods; and how its clips may have been mixed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sottovoce.audio.mel import magnitudes
from sottovoce.corpora import cache
from sottovoce.corpora.readers import mixtures
from sottovoce.corpora.readers.mixtures import Mixing
from sottovoce.experiments import latents
from sottovoce.experiments.experiment import (
    Cells,
    Corpus,
    Experiment,
    Place,
    Result,
    RunSettings,
    SharedJob,
    Table,
    digest,
    grouped,
    mean,
    means,
)
from sottovoce.experiments.latents import LATENT_ATTACKERS, Clips, LatentAttackers
from sottovoce.experiments.rdal_drawing import METHODS, plane, strongest, verification_curve
from sottovoce.files import write_file
from sottovoce.methods.rdal.adversary import verdict
from sottovoce.methods.rdal.mask import train_mask
from sottovoce.methods.rdal.training import PRESETS, PairedClips, RdalSettings, TrainedSender, train_rdal
from sottovoce.models.layers import parameter_count
from sottovoce.models.rdal import MaskUnet
from sottovoce.progress import silent
from sottovoce.training.loop import Run, identity

PAPER = {  # event, in-loop, retrained accuracy / AUC, gender, epochs: the authors' own ten runs each
    "no-privacy": (75.3, None, 76.5, 0.847, 63.6, 69),
    "reversal": (75.0, 50.8, 73.9, 0.825, 58.9, 410),
    "compact": (75.1, 52.4, 62.7, 0.679, 59.6, 2620),
    "masked": (76.7, 50.3, 51.8, 0.528, 51.0, 1960),
}
PAPER_MIXED = {"event": 0.753, "speech": 0.765, "speech AUC": 0.847, "gender": 0.636}  # of no privacy
RANGES_DB = ((-15.0, 0.0), (-10.0, 5.0), (-5.0, 10.0), (0.0, 15.0), (5.0, 20.0))
CORPORA = (Corpus("esc10:esc10"), Corpus("librispeech:librispeech"))


@dataclass(frozen=True)
class MaskJob(SharedJob):
    """The mask of a seed, which several methods share."""

    settings: RdalSettings
    mixing: Mixing

    def make(self, place: Place) -> tuple[MaskUnet, float]:
        """The mask, trained unless it is there, and the seconds that its training took."""
        kept, name = place.kept / f"mask-{digest(self)}.json", f"mask-{digest(self)}"
        parts, _, about = clips(place, self.mixing, self.settings)
        began = time.monotonic()
        run = _run(place, self.mixing.seed, name, about)
        mask = train_mask(parts["train"].pairs.magnitudes, self.settings.masking, run)
        if not kept.is_file():
            write_file(kept, json.dumps({"seconds": round(time.monotonic() - began, 1)}).encode())
        return mask, json.loads(kept.read_text(encoding="utf-8"))["seconds"]


@dataclass(frozen=True)
class SenderRun(RunSettings):
    """A sender, trained by a method in one of its presets and attacked; another fold is the test part for each seed."""

    method: str
    settings: RdalSettings
    mixing: Mixing
    mask: MaskJob | None = None
    corpora: tuple[Corpus, ...] = CORPORA
    attackers: LatentAttackers = LATENT_ATTACKERS


def sender_run(method: str, settings: RdalSettings, mixing: Mixing, **others: Any) -> SenderRun:
    """A run of the seed of its mixing, with the mask that all methods with the same kind of mask share."""
    shared = RdalSettings(masking=settings.masking, sample_rate=settings.sample_rate, samples=settings.samples)
    mask = None if settings.mask == "none" else MaskJob(shared, mixing)
    return SenderRun(method, settings, mixing, mask, seed=mixing.seed, **others)


def clips(
    place: Place, mixing: Mixing, settings: RdalSettings
) -> tuple[dict[str, Clips], tuple[str, ...], dict[str, Any]]:
    """The clips of each part, the events, and what a result says of the corpus."""
    manifest, sounds = cache.load(mixtures.mixed(place.corpora, mixing))
    events = manifest.classes("event")
    sources = {name: i for i, name in enumerate(manifest.classes("source"))}
    places = {clip.id: i for i, clip in enumerate(manifest.clips)}
    parts = {}
    for part in ("train", "validation", "test"):
        quiet = sorted(name for name in places if name.startswith(f"{part}/") and name.endswith(mixtures.QUIET))
        rows = np.array([[places[name], places[mixtures.twin(name)]] for name in quiet])
        spoken = [manifest.clips[i].labels for i in rows[:, 1]]
        wav = sounds.segments(rows.ravel(), np.zeros(rows.size, np.int64), settings.samples)
        spectra = magnitudes(wav, settings.sample_rate)
        pairs = PairedClips(
            spectra.reshape(len(rows), 2, *spectra.shape[1:]),
            np.array([[events.index(each["event"])] * 2 for each in spoken]),
        )
        parts[part] = Clips(
            pairs,
            np.array([each["speaker"] for each in spoken]),
            np.array([int(each["gender"] == "male") for each in spoken]),
            np.array([sources[each["source"]] for each in spoken]),
        )
    about = {"name": manifest.name, "digest": manifest.digest, "split": "official", "turn": mixing.turn}
    about |= {"pairs": {name: len(part.male) for name, part in parts.items()}, "snr_db": list(mixing.snr_db)}
    return parts, events, about


def _run(place: Place, seed: int, name: str, about: dict[str, Any]) -> Run:
    return Run(0, seed, silent, place.kept / f".{name}.partial", identity(corpus=about["digest"], name=name))


def _trained(
    run: SenderRun, mask: MaskUnet | None, place: Place
) -> tuple[TrainedSender, dict[str, Clips], dict[str, Any]]:
    """The sender of a run, the clips of each part, and what a result says of the corpus."""
    parts, events, about = clips(place, run.mixing, run.settings)
    training = _run(place, run.seed, digest(run), about)
    trained = train_rdal(parts["train"].pairs, parts["validation"].pairs, len(events), run.settings, mask, training)
    return trained, parts, about


def attack(run: SenderRun, place: Place) -> dict[str, Any]:
    """Train one sender and attack what it sends."""
    mask, seconds, epochs = None, 0.0, 0
    if run.mask is not None:
        (mask, seconds), epochs = run.mask.make(place), run.settings.masking.epochs
    began = time.monotonic()
    trained, parts, about = _trained(run, mask, place)
    seconds += time.monotonic() - began
    sent = {name: latents.sent(trained.sender, part) for name, part in parts.items()}
    return {
        "method": run.method,
        "corpus": about,
        "epochs": epochs + len(trained.rows),
        "seconds": round(seconds, 1),
        "parameters": parameter_count(trained.sender),
        "event": latents.event_accuracy(trained.reader, sent["test"]),
        "in_loop": None if trained.in_loop is None else verdict(trained.in_loop, latents.as_latents(sent["test"]))[1],
        **latents.attacked(sent, run.seed, run.attackers),
        "rows": [[None if np.isnan(x) else round(float(x), 4) for x in row] for row in trained.rows],
    }


def mix(run: SenderRun, place: Place) -> dict[str, Any]:
    """Scores on validation of clips mixed so; the distance is the root of the mean squared difference to the paper."""
    trained, parts, about = _trained(run, None, place)
    sent = {name: latents.sent(trained.sender, parts[name]) for name in ("train", "validation")}
    paper = latents.as_in_the_paper({**sent, "test": sent["validation"]}, run.seed)
    scores = {
        "event": latents.event_accuracy(trained.reader, sent["validation"])["all"]["score"],
        "speech": paper["speech"]["accuracy"]["score"],
        "speech AUC": paper["speech"]["auc"]["score"],
        "gender": paper["gender"]["accuracy"]["score"],
    }
    distance = float(np.sqrt(np.mean([(scores[name] - PAPER_MIXED[name]) ** 2 for name in PAPER_MIXED])))
    return {"snr_db": list(run.mixing.snr_db), **scores, "distance": distance, "corpus": about, "split": "validation"}


def _lines(results: Sequence[Result]) -> Iterator[list[Result] | Cells]:
    """A line for each method, and below it the paper's figures."""
    groups = grouped(results, lambda result: result["method"])
    for method in [*(name for name in METHODS if name in groups), *sorted(groups.keys() - METHODS.keys())]:
        yield groups[method]
        if method in PAPER:
            event, loop, right, area, gender, epochs = PAPER[method]
            in_loop = "–" if loop is None else str(loop)
            yield Cells(
                ["*the paper*", f"{event}", in_loop, f"{right} / {area}", "", f"{gender}", "", "", f"{epochs}", ""]
            )


def _ladder(what: str, runs: Sequence[Result]) -> str:
    return mean([strongest(run[what])["auc"]["score"] for run in runs], 3)


def _in_loop(runs: Sequence[Result]) -> str:
    return "–" if runs[0]["in_loop"] is None else means("in_loop", 100)(runs)


def _named(runs: Sequence[Result]) -> str:
    method = runs[0]["method"]
    return f"{METHODS.get(method, method)} ({len(runs)} seed{'s' if len(runs) > 1 else ''})"


def _pair(*cells: Callable[[Sequence[Result]], str]) -> Callable[[Sequence[Result]], str]:
    return lambda runs: " / ".join(cell(runs) for cell in cells)


COLUMNS = (
    ("", _named),
    ("event %", means("event.all.score", 100)),
    ("in-loop D %", _in_loop),
    (
        "paper's MLP: accuracy % / AUC",
        _pair(means("paper.speech.accuracy.score", 100), means("paper.speech.auc.score", digits=3)),
    ),
    ("strongest of the ladder: AUC", partial(_ladder, "speech")),
    (
        "gender: paper's MLP % / strongest AUC",
        _pair(means("paper.gender.accuracy.score", 100), partial(_ladder, "gender")),
    ),
    ("speaker EER %", means("speaker.eer", 100)),
    (
        "a minute: speech / gender AUC",
        _pair(means("minute.speech.auc", digits=2), means("minute.gender.auc", digits=2)),
    ),
    ("epochs", lambda runs: f"{np.mean([run['epochs'] for run in runs]):.0f}"),
    ("seconds", lambda runs: f"{np.mean([run['seconds'] for run in runs]):.0f}"),
)


def _mixed(results: Sequence[Result]) -> Iterator[Any]:
    """The paper's figures, then the ranges, the nearest first."""
    yield Cells(["*the paper*", *(f"{score:.3f}" for score in PAPER_MIXED.values()), ""])
    yield from sorted(results, key=lambda result: float(result["distance"]))


def _score(name: str, result: Result) -> str:
    return f"{result[name]:.3f}"


RDAL = Experiment(
    "rdal",
    "How well do RDAL, its relatives and our two methods hide speech in latents from fresh, stronger attackers?",
    "1.4 core-hours (x86) for training; the time of the attackers was not measured",
    {
        "compact": tuple(
            sender_run(method, PRESETS[method], Mixing(turn=seed, seed=seed)) for seed in range(5) for method in METHODS
        )
    },
    attack,
    Table(COLUMNS, _lines),
    {"-verification": verification_curve, "-plane": plane},
)
MIXING = Experiment(
    "rdal-mixing",
    "At which signal-to-noise ratios, which the paper does not give, does no privacy look as it does in the paper?",
    "5 trainings of half a minute (x86), and attackers",
    {"compact": tuple(sender_run("no-privacy", PRESETS["no-privacy"], Mixing(snr_db=snr_db)) for snr_db in RANGES_DB)},
    mix,
    Table(
        (
            ("event over speech, dB", lambda result: f"{result['snr_db'][0]:g} to {result['snr_db'][1]:g}"),
            *((name, partial(_score, name)) for name in (*PAPER_MIXED, "distance")),
        ),
        _mixed,
    ),
)
