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

from sottovoce.attack.attacker import Array, Heard, Labels, accuracy
from sottovoce.models.deepspeech2 import DeepSpeech2
from sottovoce.models.layers import SpecAugment
from sottovoce.models.target import vote

_BATCH = 32
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 0.05


class NetworkAttacker:
    """A network on segments, with the vote over an utterance.

    Trained in cycles of falling learning rate (Loshchilov and Hutter 2017), each twice as long as the one before; the
    best on validation is kept. Converged: the last cycle gained no more than one standard error over the one before.
    """

    needs = "labelled recordings as the application receives them"

    def __init__(
        self, name: str, network: Callable[[int], nn.Module], first_cycle: int, cycles: int, seed: int
    ) -> None:
        self.name = name
        self.network = network
        self.first_cycle = first_cycle
        self.cycles = cycles
        self.seed = seed

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        torch.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        self.network_ = self.network(classes)
        self.validation_: list[float] = []
        best = copy.deepcopy(self.network_.state_dict())
        optimiser = torch.optim.AdamW(self.network_.parameters(), weight_decay=_WEIGHT_DECAY)
        self.converged_ = False
        for cycle in range(self.cycles):
            self._cycle(train, labels, optimiser, self.first_cycle * 2**cycle, rng)
            score = accuracy(self, validation, validation_labels)
            if score > max(self.validation_, default=-1.0):
                best = copy.deepcopy(self.network_.state_dict())
            self.validation_.append(score)
            if cycle:
                error = math.sqrt(max(score * (1.0 - score), 1e-3) / len(validation))
                self.converged_ = score - self.validation_[-2] <= error
            if self.converged_ or score == 1.0:
                self.converged_ = True
                break
        self.network_.load_state_dict(best)
        return self

    def scores(self, heard: Heard) -> Array:
        self.network_.eval()
        with torch.no_grad():
            parts = torch.split(torch.from_numpy(heard.spectra), 64)
            logits = torch.cat([self.network_(spectra) for spectra in parts]).numpy()
        return vote(logits, heard.owner)

    def _cycle(
        self, train: Heard, labels: Labels, optimiser: torch.optim.Optimizer, steps: int, rng: np.random.Generator
    ) -> None:
        """Train for `steps` batches of one random segment of each of 32 random utterances."""
        self.network_.train()
        order = np.concatenate([rng.permutation(len(train)) for _ in range(1 + steps * _BATCH // len(train))])
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = _LEARNING_RATE * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            chosen = order[step * _BATCH : (step + 1) * _BATCH]
            segment = rng.integers(train.first[chosen], train.first[chosen + 1])
            logits = self.network_(torch.from_numpy(train.spectra[segment]))
            loss = functional.cross_entropy(logits, torch.from_numpy(labels[chosen]), label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()


class SeparableCnn(nn.Module):
    """Strided depthwise-separable convolutions, attention over time, linear: [B, 161, N] -> [B, K]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            SpecAugment(),
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


def cnn(cycles: int, seed: int) -> NetworkAttacker:
    """A convolutional attacker of another make than any network that a filter is trained with."""
    return NetworkAttacker("CNN", SeparableCnn, 120, cycles, seed)


def deepspeech2(cycles: int, seed: int) -> NetworkAttacker:
    """The paper's attacker: the architecture of its target."""
    return NetworkAttacker("DeepSpeech2", DeepSpeech2, 50, cycles, seed)
