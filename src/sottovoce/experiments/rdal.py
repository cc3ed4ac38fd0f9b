"""RDAL reproduced, beside what it is compared with and our own two methods; and how its clips may have been mixed.

Two checkpoints of each run are attacked: the one that the original's rule keeps, and one chosen by events as well.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

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
)
from sottovoce.experiments.latents import LATENT_ATTACKERS, Clips, LatentAttackers
from sottovoce.experiments.rdal_drawing import METHODS, plane, verification_curve
from sottovoce.experiments.rdal_table import TABLE
from sottovoce.files import write_file
from sottovoce.methods.rdal.adversary import verdict
from sottovoce.methods.rdal.mask import PAPER_MASK, train_mask
from sottovoce.methods.rdal.pairs import paired
from sottovoce.methods.rdal.presets import PRESETS, RdalSettings
from sottovoce.methods.rdal.training import Chosen, TrainedSender, train_rdal
from sottovoce.models.layers import parameter_count
from sottovoce.models.rdal import MaskUnet
from sottovoce.progress import silent
from sottovoce.training.loop import Run, identity

PAPER_MIXED = {"event": 0.753, "speech": 0.765, "speech AUC": 0.847, "gender": 0.636}  # of no privacy
RANGES_DB = ((-15.0, 0.0), (-10.0, 5.0), (-5.0, 10.0), (0.0, 15.0), (5.0, 20.0))
CORPORA = (Corpus("esc10:esc10"), Corpus("librispeech:librispeech"))
CLIP_SAMPLES = Mixing().samples  # 1 s, as in the original; a filter would take 1.28 s


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
        mask = train_mask(parts["train"].pairs, parts["validation"].pairs, self.settings.masking, run)
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
        called = np.array([[events.index(each["event"])] * 2 for each in spoken])
        parts[part] = Clips(
            paired(wav, called, settings.sample_rate),
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
    """Train one sender, and attack what its two checkpoints send, each once."""
    mask, masking_s = run.mask.make(place) if run.mask is not None else (None, 0.0)
    began = time.monotonic()
    trained, parts, about = _trained(run, mask, place)
    training_s = time.monotonic() - began
    hidden = attacked(run, trained.hidden, parts)
    same = _same(trained.hidden, trained.balanced)
    balanced = {} if same else attacked(run, trained.balanced, parts)
    return {
        "method": run.method,
        "corpus": about,
        "steps": int(trained.checks[-1]["step"]),
        "seconds": round(masking_s + training_s, 1),
        "seconds_of_attacks": round(time.monotonic() - began - training_s, 1),
        "parameters": parameter_count(trained.hidden.sender),
        **hidden,
        **({"balanced": balanced} if balanced else {}),
        "checks": [{name: _rounded(x) for name, x in check.items()} for check in trained.checks],
    }


def attacked(run: SenderRun, chosen: Chosen, parts: dict[str, Clips]) -> dict[str, Any]:
    """What the reader, the adversary of the training, and fresh attackers read from the latents of a checkpoint."""
    sent = {name: latents.sent(chosen.sender, part) for name, part in parts.items()}
    return {
        "event": latents.event_accuracy(chosen.reader, sent["test"]),
        "in_loop": None if chosen.in_loop is None else verdict(chosen.in_loop, latents.as_latents(sent["test"]))[1],
        **latents.attacked(sent, run.seed, run.attackers),
    }


def _same(one: Chosen, other: Chosen) -> bool:
    """Whether two checkpoints send the same."""
    weights = (chosen.sender.state_dict().values() for chosen in (one, other))
    return all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def _rounded(number: float) -> float | None:
    return None if math.isnan(number) else round(number, 4)


def mix(run: SenderRun, place: Place) -> dict[str, Any]:
    """Scores on validation of clips mixed so; the distance is the root of the mean squared difference to the paper."""
    trained, parts, about = _trained(run, None, place)
    sender, reader, _ = trained.hidden
    sent = {name: latents.sent(sender, parts[name]) for name in ("train", "validation")}
    paper = latents.as_in_the_paper({**sent, "test": sent["validation"]}, run.seed)
    scores = {
        "event": latents.event_accuracy(reader, sent["validation"])["all"]["score"],
        "speech": paper["speech"]["accuracy"]["score"],
        "speech AUC": paper["speech"]["auc"]["score"],
        "gender": paper["gender"]["accuracy"]["score"],
    }
    distance = float(np.sqrt(np.mean([(scores[name] - PAPER_MIXED[name]) ** 2 for name in PAPER_MIXED])))
    return {"snr_db": list(run.mixing.snr_db), **scores, "distance": distance, "corpus": about, "split": "validation"}


def _mixed(results: Sequence[Result]) -> Iterator[Any]:
    """The paper's figures, then the ranges, the nearest first."""
    yield Cells(["*the paper*", *(f"{score:.3f}" for score in PAPER_MIXED.values()), ""])
    yield from sorted(results, key=lambda result: float(result["distance"]))


def _score(name: str, result: Result) -> str:
    return f"{result[name]:.3f}"


def _run_of(method: str, seed: int, **others: Any) -> SenderRun:
    """A run of a method on clips of 1 s."""
    settings = replace(PRESETS[method], samples=CLIP_SAMPLES, **others)
    return sender_run(method, settings, Mixing(turn=seed, seed=seed))


_WIDE: dict[str, Any] = {"extractor": "rdal", "width": 16, "masking": PAPER_MASK}
RDAL = Experiment(
    "rdal",
    "How well do RDAL, its relatives and our two methods hide speech in latents from fresh, stronger attackers?",
    "5 to 10 core-hours (x86): 9 ms a step, 4 s a verification, 25 s for the attackers of a checkpoint; `wide` 6 to 13",
    {
        "compact": tuple(_run_of(method, seed) for seed in range(5) for method in METHODS),
        "wide": tuple(_run_of(method, 0, **_WIDE) for method in ("no-privacy", "masked")),
    },
    attack,
    TABLE,
    {"-verification": verification_curve, "-plane": plane},
)
MIXING = Experiment(
    "rdal-mixing",
    "At which signal-to-noise ratios, which the paper does not give, does no privacy look as it does in the paper?",
    "5 trainings of half a minute (x86), and attackers",
    {
        "compact": tuple(
            sender_run("no-privacy", replace(PRESETS["no-privacy"], samples=CLIP_SAMPLES), Mixing(snr_db=snr_db))
            for snr_db in RANGES_DB
        )
    },
    mix,
    Table(
        (
            ("event over speech, dB", lambda result: f"{result['snr_db'][0]:g} to {result['snr_db'][1]:g}"),
            *((name, partial(_score, name)) for name in (*PAPER_MIXED, "distance")),
        ),
        _mixed,
    ),
)
