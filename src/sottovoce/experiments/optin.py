"""Does the opt-in game protect, or only its bottleneck? Both are varied, and every obfuscator is attacked afresh.

The body of the obfuscator has 1, 2, 8 or 32 channels. r, the pressure of the privacy loss relative to that of the loss
of the target (`OptinSettings.gradient_ratio`), is 0, .1, .3, 1 or, with one seed, 3, for the distance in the latent,
equation (3), and for -L_a. The game protects only where less can be read at r > 0 than at r = 0 for the same accuracy
of the target. A codebook filter stands beside them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Observations
from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.network import NetworkAttacker
from sottovoce.attack.through_target import FromAnswer
from sottovoce.audio.segment import cut, front_end
from sottovoce.audio.spectrum import Wave
from sottovoce.audit import metrics
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.observations import observe_features
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split
from sottovoce.experiments.experiment import Corpus, Experiment, Place, RunSettings
from sottovoce.experiments.filter_runs import FilterJob, Settings, TargetJob
from sottovoce.experiments.optin_drawing import curves
from sottovoce.experiments.optin_table import READERS, TABLE
from sottovoce.models.target import Target
from sottovoce.models.target_loading import load_target
from sottovoce.models.vote import vote
from sottovoce.progress import silent
from sottovoce.runtime.filter import Filter
from sottovoce.training.device import device

SEEDS = (0, 1, 2)
BODIES = (2, 8, 32)
RATIOS = (0.1, 0.3, 1.0, 3.0)
RAVDESS = Corpus("ravdess:ravdess")
_UNPRESSED: Settings = (("privacy_weight", 0.0),)
_PRESSED: Settings = (("gradient_ratio", 0.3),)  # in the latent
_CHANGES: Mapping[str, Settings] = {  # of what is understood without pressure, of the game with it
    "none, body of 128": (*_UNPRESSED, ("obfuscator.body", 128)),
    "none, through sound": (*_UNPRESSED, ("through_sound", True)),
    "none, four voters": (*_UNPRESSED, ("voters", 4)),
    "none, through sound, four voters": (*_UNPRESSED, ("through_sound", True), ("voters", 4)),
    "latent, originals restored too": (*_PRESSED, ("restores", "both")),
    "latent, N = 2": (*_PRESSED, ("deobfuscator.latent_layers", 2)),
    "latent, N = 5": (*_PRESSED, ("deobfuscator.latent_layers", 5)),
    "latent, deobfuscator replaced": (*_PRESSED, ("replace_every", 100)),
}
_PAPERS: Settings = (  # sizes: an obfuscator of .758 M and a deobfuscator of 1.72 M parameters
    ("steps", 10_000),
    ("obfuscator.first", 8),
    ("obfuscator.second", 32),
    ("obfuscator.body", 128),
    ("deobfuscator.first", 32),
    ("deobfuscator.second", 64),
    ("deobfuscator.body", 64),
    ("deobfuscator.hidden", 128),
)
ATTACKED = {"emotion": ("speaker", "gender"), "speaker": ("emotion", "gender")}  # by what is permitted
_STRANGERS = (("compact", 1300), ("paper", 400))  # presets of uninformed attackers, and steps of their training


@dataclass(frozen=True)
class GameRun(RunSettings):
    """A filter and who reads it: `others` are recognisers of what is permitted, `uninformed` of what is not."""

    filter: FilterJob
    loss: str  # "latent", "-L_a", or "none" where r is 0
    attack: tuple[str, ...]
    others: tuple[TargetJob, ...]
    uninformed: tuple[TargetJob, ...]
    families: tuple[str, ...] = ("linear", "svm", "mlp", "cnn")  # of informed attackers
    first_families: tuple[str, ...] = ("nearest", "deepspeech2")  # which read the first attribute as well
    cycles: int = 3  # of training of an attacker that is a network, at most


def game_run(
    permit: str, settings: Settings, seed: int, loss: str = "none", method: str = "optin", preset: str = "compact"
) -> GameRun:
    """A run on RAVDESS, with recognisers that all runs share."""
    uninformed = tuple(
        TargetJob(RAVDESS, task, preset, settings=(("steps", steps),))
        for task in ATTACKED[permit]
        for preset, steps in _STRANGERS
    )
    others = TargetJob(RAVDESS, permit, seed=1), TargetJob(RAVDESS, permit, "x-vector")
    job = FilterJob((TargetJob(RAVDESS, permit),), method, preset, seed, settings)
    return GameRun(job, loss, ATTACKED[permit], others, uninformed, seed=seed)


def _of_body(channels: int) -> Settings:
    return ("steps", 1800), ("obfuscator.body", channels)


def sweep(
    permit: str, seed: int, bodies: Sequence[int] = BODIES, ratios: Sequence[float] = RATIOS
) -> Iterator[GameRun]:
    """Every body with every pressure, and the codebook; without pressure also a body of one channel."""
    yield from _bottlenecks(permit, seed, bodies)
    for body in bodies:
        for ratio in ratios:
            for loss in ("latent", "-L_a"):
                pressed = (*_of_body(body), ("gradient_ratio", ratio), ("raw", loss == "-L_a"))
                yield game_run(permit, pressed, seed, loss)
    yield game_run(permit, (), seed, method="codebook")


def _bottlenecks(permit: str, seed: int, bodies: Sequence[int] = BODIES) -> Iterator[GameRun]:
    """Bodies without pressure, with which all others are compared."""
    for body in (1, *bodies):
        yield game_run(permit, (*_of_body(body), *_UNPRESSED), seed)


def variants(seed: int) -> Iterator[GameRun]:
    """A body of 8 channels, without pressure or with r = .3 in the latent, each with one more thing changed.

    The runs of the sweep with which they are compared are among them.
    """
    yield from _bottlenecks("emotion", seed)
    yield game_run("emotion", (*_of_body(8), *_PRESSED, ("raw", False)), seed, "latent")
    for loss, changed in _CHANGES.items():
        yield game_run("emotion", tuple(dict((*_of_body(8), *changed)).items()), seed, loss)


def in_the_papers_sizes(permit: str) -> Iterator[GameRun]:
    """The obfuscator of nearly as many parameters as the paper's, without pressure and with it."""
    for loss, pressure in (("none", _UNPRESSED), ("latent", _PRESSED)):
        yield game_run(permit, (*_PAPERS, *pressure), 0, loss, preset="paper")


def play(run: GameRun, place: Place) -> dict[str, Any]:
    """Train a filter, and let recognisers and attackers read what leaves it."""
    (permit,), (job,) = run.filter.permit, run.filter.targets
    manifest, sounds = opened(place.spec(run.filter.corpus), silent)
    target, filter_ = load_target(job.make(place)), Filter.load(run.filter.make(place))
    case = Case(manifest, sounds, split(manifest), (target,), (permit,))
    readers = dict(zip(READERS, (target, *(load_target(each.make(place)) for each in run.others)), strict=True))
    strangers = [load_target(each.make(place)) for each in run.uninformed]
    with tempfile.TemporaryDirectory() as scratch:
        view = observe_features(case, filter_.obfuscate, "features", filter_.digest, run.seed, Path(scratch))
        leaving = {part: view.part(part) for part in PARTS}
        waves = [sounds.wave(clip) for clip in case.clips("test")]
        forms = {
            "originals": _as_spectra(waves),
            "features": leaving["test"],
            "sound": _as_spectra([filter_.filter(wav) for wav in waves]),
        }
        understood = {
            form: {name: _right(case, permit, _answers(reader, given), "test") for name, reader in readers.items()}
            for form, given in forms.items()
        }
        return {
            "permit": permit,
            "method": run.filter.method,
            "command": run.filter.command,
            "corpus": manifest.digest,
            "filter": filter_.digest,
            "test_clips": len(waves),
            **{key: filter_.card.get(key) for key in ("parameters", "game", "seconds")},
            "validation": _right(case, permit, _answers(target, leaving["validation"]), "validation"),
            "understood": understood,
            "read": {task: _read(case, task, leaving, strangers, run) for task in run.attack},
        }


def _as_spectra(waves: Sequence[Wave]) -> Observations:
    """Sounds as a recogniser of spectra gets them."""
    segments = [cut(wav) for wav in waves]
    owner = np.repeat(np.arange(len(waves)), [len(each) for each in segments])
    return Observations(front_end(np.concatenate(segments)), owner, np.zeros((len(waves), 0), np.float32))


def _answers(reader: Target, given: Observations) -> NDArray[np.int64]:
    """What a recogniser calls each utterance, [U]."""
    answers: NDArray[np.int64] = vote(reader.predict(np.array(given.spectra)), given.owner).argmax(axis=1)
    return answers


def _right(case: Case, task: str, answers: NDArray[np.int64], part: Part) -> float:
    return float((answers == case.labels(task, part)).mean())


def _read(
    case: Case, task: str, leaving: Mapping[Part, Observations], strangers: Sequence[Target], run: GameRun
) -> list[dict[str, Any]]:
    """Every attacker, with its accuracy on validation and, with an interval, on test."""
    labels = {part: case.labels(task, part) for part in PARTS}
    train, validation = leaving["train"], leaving["validation"]
    rows = []

    def add(name: str, knowledge: str, answers: Mapping[Part, NDArray[np.int64]], converged: bool = True) -> None:
        right = {part: called == labels[part] for part, called in answers.items()}
        score = metrics.accuracy(right["test"], case.cluster(task)[1]).model_dump()
        about = {"attacker": name, "knowledge": knowledge, "converged": converged}
        rows.append(about | {"validation": float(right["validation"].mean()), **score})

    scored: tuple[Part, ...] = ("validation", "test")
    for stranger, (preset, _) in zip([each for each in strangers if each.task == task], _STRANGERS, strict=True):
        name = {"compact": "small CNN", "paper": "DeepSpeech2"}[preset]
        add(name, "uninformed", {part: _answers(stranger, leaving[part]) for part in scored})
    floor = FromAnswer().fit(train, labels["train"], validation, labels["validation"], len(case.classes(task)))
    add("the floor", "floor", {part: floor.scores(leaving[part]).argmax(axis=1) for part in scored})
    for family in (*run.families, *(run.first_families if task == run.attack[0] else ())):
        attacker = ATTACKERS[family](run.cycles, run.seed)
        if isinstance(attacker, NetworkAttacker):
            attacker.device = device()
        attacker.fit(train, labels["train"], validation, labels["validation"], len(case.classes(task)))
        found = {part: attacker.scores(leaving[part]).argmax(axis=1) for part in scored}
        add(attacker.name, "informed", found, attacker.converged_)
    return rows


OPTIN = Experiment(
    "optin",
    "Does the opt-in game protect, or only its bottleneck?",
    "9 core-hours (x86), or a quarter of an hour on an H100 with 16 workers; preset speaker 4; preset paper 24",
    {
        "compact": tuple(
            run for seed in SEEDS for run in sweep("emotion", seed, ratios=RATIOS[: len(RATIOS) - bool(seed)])
        ),
        "speaker": tuple(run for seed in SEEDS for run in sweep("speaker", seed, (8, 32), RATIOS[:2])),
        "paper": tuple(in_the_papers_sizes("emotion")),
    },
    play,
    TABLE,
    {"": curves},
)
VARIANTS = Experiment(
    "optin-variants",
    "Which other choices decide what the opt-in game hides, and who understands what leaves?",
    "2 core-hours (x86) for each of 3 seeds, 0.7 of them for runs of `optin`",
    {"compact": tuple(run for seed in SEEDS for run in variants(seed))},
    play,
    TABLE,
    shelf="optin",
)
