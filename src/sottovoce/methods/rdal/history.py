"""The history of a training with checkpoints, as state from which a training resumes."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class TrainingHistory(nn.Module):
    """The numbers of each epoch, the highest loss so far, and how many losses since were not higher.

    Columns of `rows`: event loss, loss of the adversary in the loop, its accuracy on validation, and, where there was a
    verification, the loss and the accuracy of D^tau there; else NaN.
    """

    table: Tensor
    best: Tensor

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.full((epochs, 5), math.nan, dtype=torch.float64))
        self.register_buffer("best", torch.tensor([-math.inf, 0.0], dtype=torch.float64))

    def append(self, epoch: int, *numbers: float) -> None:
        """Set the row of an epoch."""
        self.table[epoch] = torch.tensor(numbers, dtype=torch.float64)

    def is_best(self, loss: float) -> bool:
        """Whether `loss` is the highest so far; it counts from then on."""
        better = loss > float(self.best[0])
        self.best.copy_(torch.tensor([loss, 0.0] if better else [float(self.best[0]), self.since + 1.0]))
        return better

    @property
    def has_best(self) -> bool:
        """Whether there was any loss."""
        return bool(torch.isfinite(self.best[0]))

    @property
    def since(self) -> float:
        """How many losses in a row were not the highest."""
        return float(self.best[1])

    @property
    def rows(self) -> NDArray[np.float64]:
        """The epochs that there were, [E, 5]."""
        rows: NDArray[np.float64] = self.table.numpy()
        return rows[~np.isnan(rows[:, 0])]
