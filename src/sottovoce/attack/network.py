"""Attackers that are neural networks, trained in cycles until a longer one no longer helps."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.attack.attacker import Array, Labels, Observations
from sottovoce.attack.classical import LABELLED, LEAST, over_segments, standard_error
from sottovoce.models.compact import SpecAugment

_BATCH = 32
_SCORED_AT_ONCE = 64
_WEIGHT_DECAY = 0.05

Network = Callable[[int, int, int], nn.Module]  # for so many classes, bins and frames: [B, F, N] to logits [B, K]


class NetworkAttacker:
    """A network on segments; an utterance is decided by the mean of their log posteriors.

    Trained in cycles of falling learning rate (Loshchilov and Hutter 2017), each twice as long as the one before; the
    best on validation is kept. Converged: the last cycle gained no more than one standard error over the one before.
    `view` makes what the network sees of what is heard, where it is not the spectra.
    """

    needs = LABELLED

    def __init__(
        self,
        name: str,
        network: Network,
        first_cycle: int,
        cycles: int,
        seed: int,
        learning_rate: float = 3e-3,
        view: Callable[[Observations], Observations] | None = None,
    ) -> None:
        self.name = name
        self.network = network
        self.first_cycle = first_cycle
        self.cycles = cycles
        self.seed = seed
        self.learning_rate = learning_rate
        self.view = view

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        seen, held_out = self._seen(train), self._seen(validation)
        torch.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        self.network_ = self.network(classes, *seen.spectra.shape[1:])
        self.curve_: list[tuple[int, float]] = []
        best = copy.deepcopy(self.network_.state_dict())
        optimiser = torch.optim.AdamW(self.network_.parameters(), weight_decay=_WEIGHT_DECAY)
        self.converged_ = False
        for cycle in range(self.cycles):
            self._cycle(seen, labels, optimiser, self.first_cycle * 2**cycle, rng)
            score = float((self._read(held_out).argmax(axis=1) == validation_labels).mean())
            before = [accuracy for _, accuracy in self.curve_]
            if score > max(before, default=-1.0):
                best = copy.deepcopy(self.network_.state_dict())
            self.curve_.append((self.first_cycle * (2 ** (cycle + 1) - 1), score))
            if score == 1.0 or (before and score - before[-1] <= standard_error(score, len(validation))):
                self.converged_ = True
                break
        self.network_.load_state_dict(best)
        return self

    def scores(self, heard: Observations) -> Array:
        return self._read(self._seen(heard))

    def _seen(self, heard: Observations) -> Observations:
        return heard if self.view is None else self.view(heard)

    def _read(self, seen: Observations) -> Array:
        self.network_.eval()
        starts = range(0, len(seen.spectra), _SCORED_AT_ONCE)
        with torch.no_grad():
            parts = [self.network_(torch.tensor(seen.spectra[i : i + _SCORED_AT_ONCE])) for i in starts]
            posterior = torch.cat(parts).log_softmax(dim=1).clamp(min=math.log(LEAST))
        return over_segments(posterior.numpy(), seen).astype(np.float32)

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
            logits = self.network_(torch.tensor(seen.spectra[segment]))
            loss = functional.cross_entropy(logits, torch.from_numpy(labels[chosen]), label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


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
