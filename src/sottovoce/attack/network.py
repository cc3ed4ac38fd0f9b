"""Attackers that are neural networks, trained in cycles until a longer one no longer helps."""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.attack.attacker import Array, Attacker, Labels, Observations
from sottovoce.attack.classical import LEAST, over_segments, standard_error, statistics
from sottovoce.attack.families import ATTACKERS
from sottovoce.audio.spectrum import BINS
from sottovoce.models.compact import SpecAugment
from sottovoce.models.deepspeech2 import DeepSpeech2

_BATCH = 32
_SCORED_AT_ONCE = 64
_WEIGHT_DECAY = 0.05


class NetworkAttacker(Attacker):
    """A network on segments; an utterance is decided by the mean of their log posteriors.

    Trained in cycles of falling learning rate (Loshchilov and Hutter 2017), each twice as long as the one before; the
    best on validation is kept. Converged: the last cycle gained no more than one standard error over the one before.
    `device` is where it is trained: an audit stays on the CPU, whose sums are the same for any number of workers.
    """

    seeded = True
    first_cycle: int  # steps
    learning_rate = 3e-3
    device = torch.device("cpu")

    @abstractmethod
    def network(self, classes: int, bins: int, frames: int) -> nn.Module:
        """A fresh network, [B, F, N] to logits [B, K]."""

    def view(self, observations: Observations) -> Observations:
        """What the network gets, where it is not the spectra."""
        return observations

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        seen, held_out = self.view(train), self.view(validation)
        torch.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        self.network_ = self.network(classes, *seen.spectra.shape[1:]).to(self.device)
        self.curve_ = curve = list[tuple[int, float]]()
        best = copy.deepcopy(self.network_.state_dict())
        optimiser = torch.optim.AdamW(self.network_.parameters(), weight_decay=_WEIGHT_DECAY)
        self.converged_ = False
        for cycle in range(self.cycles):
            self._cycle(seen, labels, optimiser, self.first_cycle * 2**cycle, rng)
            score = float((self._read(held_out).argmax(axis=1) == validation_labels).mean())
            before = [accuracy for _, accuracy in curve]
            if score > max(before, default=-1.0):
                best = copy.deepcopy(self.network_.state_dict())
            curve.append((self.first_cycle * (2 ** (cycle + 1) - 1), score))
            if score == 1.0 or (before and score - before[-1] <= standard_error(score, len(validation))):
                self.converged_ = True
                break
        self.network_.load_state_dict(best)
        return self

    def scores(self, observations: Observations) -> Array:
        return self._read(self.view(observations))

    def _read(self, seen: Observations) -> Array:
        self.network_.eval()
        starts = range(0, len(seen.spectra), _SCORED_AT_ONCE)
        with torch.no_grad():
            parts = [self.network_(self._tensor(seen.spectra[i : i + _SCORED_AT_ONCE])) for i in starts]
            posterior = torch.cat(parts).log_softmax(dim=1).clamp(min=math.log(LEAST))
        return over_segments(posterior.cpu().numpy(), seen).astype(np.float32)

    def _tensor(self, values: Array | Labels) -> Tensor:
        return torch.tensor(values, device=self.device)

    def _cycle(
        self, seen: Observations, labels: Labels, optimiser: torch.optim.Optimizer, steps: int, rng: np.random.Generator
    ) -> None:
        """Train for `steps` batches of one random segment of each of 32 random utterances."""
        self.network_.train()
        order = np.concatenate([rng.permutation(len(seen)) for _ in range(1 + steps * _BATCH // len(seen))])
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            chosen = order[step * _BATCH : (step + 1) * _BATCH]
            segment = rng.integers(seen.first[chosen], seen.first[chosen + 1])
            logits = self.network_(self._tensor(seen.spectra[segment]))
            loss = functional.cross_entropy(logits, self._tensor(labels[chosen]), label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


@ATTACKERS.register("cnn")
class CnnAttacker(NetworkAttacker):
    """A network of another make than any that a filter is trained with."""

    name = "CNN"
    cost = 8
    first_cycle = 120

    def network(self, classes: int, bins: int, frames: int) -> nn.Module:
        return _of_bins(bins, SeparableCnn(classes, frames))


@ATTACKERS.register("deepspeech2")
class DeepSpeech2Attacker(NetworkAttacker):
    """The paper's attacker: the architecture of its target."""

    name = "DeepSpeech2"
    cost = 10
    first_cycle = 50

    def network(self, classes: int, bins: int, frames: int) -> nn.Module:
        return _of_bins(bins, DeepSpeech2(classes))


@ATTACKERS.register("mlp")
class MlpAttacker(NetworkAttacker):
    """Two wide layers on the statistics of an utterance, always of four cycles."""

    name = "MLP on statistics"
    cost = 5
    first_cycle = 200
    learning_rate = 1e-3

    def __init__(self, cycles: int = 0, seed: int = 0) -> None:
        super().__init__(4, seed)

    def network(self, classes: int, bins: int, frames: int) -> nn.Module:
        wide = [nn.Linear(bins, 512), nn.GELU(), nn.Dropout(0.5), nn.Linear(512, 512), nn.GELU(), nn.Dropout(0.5)]
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(bins, affine=False), *wide, nn.Linear(512, classes))

    def view(self, observations: Observations) -> Observations:
        features = statistics(observations)[:, :, None]
        return Observations(features, np.arange(len(observations)), observations.outline)


def _of_bins(bins: int, network: nn.Module) -> nn.Module:
    """A network of 161 bins for another number: other features are first mapped to so many."""
    return network if bins == BINS else nn.Sequential(nn.Conv1d(bins, BINS, 1), network)


class SeparableCnn(nn.Module):
    """Strided depthwise-separable convolutions, attention over time, linear: [B, 161, N] -> [B, K]."""

    def __init__(self, classes: int, frames: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            SpecAugment(frames=min(24, 1 + frames // 5)),
            nn.Conv2d(1, 32, (9, 5), stride=(4, 2), padding=(4, 2), bias=False),
            nn.BatchNorm2d(32),
            nn.GELU(),
            _separable(32, 64, (2, 2)),
            _separable(64, 128, (2, 2)),
            _separable(128, 192, (2, 1)),
            nn.Conv2d(192, 192, (6, 1), groups=192, bias=False),
            nn.Conv2d(192, 256, 1),
            nn.GELU(),
        )
        self.attention = nn.Conv1d(256, 1, 1)
        self.output = nn.Linear(256, classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, spectrum: Tensor) -> Tensor:
        hidden = self.convolutions(spectrum.unsqueeze(1)).squeeze(2)  # [B, 256, N / 8]
        weight = self.attention(hidden).softmax(dim=2)
        logits: Tensor = self.output((hidden * weight).sum(dim=2))
        return logits


def _separable(inputs: int, outputs: int, stride: tuple[int, int]) -> nn.Module:
    depthwise = nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.GELU())
