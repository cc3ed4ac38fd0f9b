"""An attacker on the course of a recording: the order, the levels and the relations of its parts."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from sottovoce.attack.attacker import Labels, Observations
from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.network import NetworkAttacker

_BANDS = 20
_HIDDEN = 64


@ATTACKERS.register("gru")
class GruAttacker(NetworkAttacker):
    """A recurrent network in both directions over the steps of a recording (Cho et al. 2014)."""

    name = "GRU on the course"
    cost = 7
    first_cycle = 150
    learning_rate = 3e-3

    def network(self, classes: int, bins: int, frames: int) -> nn.Module:
        return _Gru(classes, self.mean_, self.deviation_)

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        self.mean_ = torch.tensor(np.asarray(train.spectra).mean(axis=0))
        self.deviation_ = torch.tensor(np.asarray(train.spectra).std(axis=0) + 1e-3)
        return super().fit(train, labels, validation, validation_labels, classes)


class _Gru(nn.Module):
    """[B, F, N], or the course [B, 20 * N, 1], to logits [B, K]."""

    def __init__(self, classes: int, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.mean = nn.Parameter(mean, requires_grad=False)
        self.deviation = nn.Parameter(deviation, requires_grad=False)
        bins, frames = mean.shape
        self.bins = _BANDS if frames == 1 and bins % _BANDS == 0 else bins
        self.gru = nn.GRU(self.bins, _HIDDEN, batch_first=True, bidirectional=True)
        self.output = nn.Sequential(nn.Dropout(0.2), nn.Linear(4 * _HIDDEN, classes))

    def forward(self, vectors: Tensor) -> Tensor:
        standard = ((vectors - self.mean) / self.deviation).reshape(len(vectors), self.bins, -1)
        states, _ = self.gru(standard.transpose(1, 2))
        ends = torch.cat([states[:, -1, :_HIDDEN], states[:, 0, _HIDDEN:]], dim=1)
        logits: Tensor = self.output(torch.cat([ends, states.mean(dim=1)], dim=1))
        return logits
