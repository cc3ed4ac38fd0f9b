"""What a protection method is: settings by preset, and a training that ends in a filter folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import LEVEL_RMS, cut
from sottovoce.audio.spectrum import log_spectrum
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.splits import Split
from sottovoce.models.target import Target
from sottovoce.training.loop import Run

Settings = TypeVar("Settings")

_MEASURED = 200  # recordings at most, of which the loudness is measured


@dataclass(frozen=True)
class TrainConfig:
    """A filter to train: the tasks that it permits, where the target of each is, and how.

    `settings` are values by the names of the method's settings, which take the place of those of the preset. With
    `reuse`, a filter that the same training has already written to `out` is kept; without `replace`, a filter that
    another training has written there is refused.
    """

    corpus: str
    permit: tuple[str, ...]
    targets: tuple[Path | str, ...]
    out: Path
    method: str = "codebook"
    preset: str = "compact"
    settings: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    command: str = ""
    reuse: bool = False
    replace: bool = True
    negatives: tuple[str, ...] = ()  # corpora of what is none of the tasks


@dataclass(frozen=True)
class Context(Generic[Settings]):
    """What a filter is trained from: settings, targets, a corpus and its split, and the run that keeps its state.

    The `run` has no steps yet; a method sets them, or takes `run.part(...)` for each of several trainings.
    """

    config: TrainConfig
    settings: Settings
    targets: Sequence[Target]
    manifest: Manifest
    sounds: Sounds
    split: Split
    run: Run
    negatives: Mapping[str, tuple[Sounds, Split]] = field(default_factory=dict)  # by corpus, what is none of the tasks

    @cached_property
    def loudness(self) -> tuple[float, float]:
        """Mean and deviation of the log spectra of training recordings, for the way back to sound."""
        return loudness(self.sounds, self.split.train)


class Trained(NamedTuple):
    """A trained filter: what its card says, and `write(folder, card, targets)`, which returns the card as written.

    `targets` of `write` are the places of the targets, by task, that go into the folder.
    """

    card: Mapping[str, Any]
    write: Callable[[Path, Mapping[str, Any], Mapping[str, Path]], dict[str, Any]]


class Estimate(NamedTuple):
    """The steps of a training, and roughly how many seconds they take on two cores."""

    steps: int
    seconds: float


def _anything(config: TrainConfig, settings: Any) -> None:
    """Refuses nothing."""


@dataclass(frozen=True)
class Method(Generic[Settings]):
    """A protection method.

    `settings` is a frozen dataclass, and `presets` are some of it. `train` makes a filter; `estimate` says beforehand
    how long that takes. `check` raises ConfigError for what the method cannot do, before anything is opened.
    `several_tasks`: one filter can permit more than one task. `makes_target`: the method trains its own target where
    the file that is named does not exist, so that no target is loaded for it. The `version` changes with the filters
    that the method trains.
    """

    name: str
    settings: type[Settings]
    presets: Mapping[str, Settings]
    train: Callable[[Context[Settings]], Trained]
    estimate: Callable[[Context[Settings]], Estimate] | None = None
    check: Callable[[TrainConfig, Settings], None] = _anything
    several_tasks: bool = False
    makes_target: bool = False
    version: str = ""


def loudness(sounds: Sounds, clips: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and deviation of the log spectra of `clips`, positions in the corpus, or of evenly chosen ones of many."""
    some = clips[:: max(1, len(clips) // _MEASURED)]
    spectra = log_spectrum(normalise(np.concatenate([cut(sounds.wave(i)) for i in some]), LEVEL_RMS))
    return float(spectra.mean()), float(spectra.std(axis=(1, 2)).mean())
