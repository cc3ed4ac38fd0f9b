"""The families of attackers: how each is made, and what it has to have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from sottovoce.attack.attacker import Attacker, Observations
from sottovoce.attack.classical import (
    KernelMachine,
    LinearOnStatistics,
    NearestNeighbour,
    OutlineOnly,
    TreesOnStatistics,
    statistics,
)
from sottovoce.attack.network import NetworkAttacker, SeparableCnn
from sottovoce.attack.speaker_encoder import FineTuned, OnEmbedding
from sottovoce.attack.through_target import ThroughTarget
from sottovoce.audio.spectrum import BINS
from sottovoce.models.deepspeech2 import DeepSpeech2


@dataclass(frozen=True)
class Family:
    """`make` gives a fresh attacker with so many cycles of training, which only slow networks heed, and a seed.

    `needs_sound`: features alone are nothing to it. `seeded`: another seed is another attacker.
    """

    make: Callable[[int, int], Attacker]
    needs_sound: bool = False
    seeded: bool = False


def _cnn(cycles: int, seed: int) -> Attacker:
    """A network of another make than any that a filter is trained with."""

    def network(classes: int, bins: int, frames: int) -> nn.Module:
        return _of_bins(bins, SeparableCnn(classes, frames))

    return NetworkAttacker("CNN", network, 120, cycles, seed)


def _deepspeech2(cycles: int, seed: int) -> Attacker:
    """The paper's attacker: the architecture of its target."""

    def network(classes: int, bins: int, frames: int) -> nn.Module:
        return _of_bins(bins, DeepSpeech2(classes))

    return NetworkAttacker("DeepSpeech2", network, 50, cycles, seed)


def _of_bins(bins: int, network: nn.Module) -> nn.Module:
    """A network of 161 bins for another number: other features are first mapped to so many."""
    return network if bins == BINS else nn.Sequential(nn.Conv1d(bins, BINS, 1), network)


def _mlp(seed: int) -> Attacker:
    """Two wide layers on the statistics of an utterance."""

    def network(classes: int, bins: int, frames: int) -> nn.Module:
        wide = [nn.Linear(bins, 512), nn.GELU(), nn.Dropout(0.5), nn.Linear(512, 512), nn.GELU(), nn.Dropout(0.5)]
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(bins, affine=False), *wide, nn.Linear(512, classes))

    def view(heard: Observations) -> Observations:
        return Observations(statistics(heard)[:, :, None], np.arange(len(heard)), heard.outline)

    return NetworkAttacker("MLP on statistics", network, 200, 4, seed, learning_rate=1e-3, view=view)


FAMILIES = {  # from quick to slow
    "target": Family(lambda cycles, seed: ThroughTarget()),
    "outline": Family(lambda cycles, seed: OutlineOnly()),
    "nearest": Family(lambda cycles, seed: NearestNeighbour()),
    "linear": Family(lambda cycles, seed: LinearOnStatistics()),
    "svm": Family(lambda cycles, seed: KernelMachine()),
    "mlp": Family(lambda cycles, seed: _mlp(seed), seeded=True),
    "trees": Family(lambda cycles, seed: TreesOnStatistics()),
    "encoder": Family(lambda cycles, seed: OnEmbedding(), needs_sound=True),
    "cnn": Family(_cnn, seeded=True),
    "fine-tuned": Family(FineTuned, needs_sound=True, seeded=True),
    "deepspeech2": Family(_deepspeech2, seeded=True),
}
