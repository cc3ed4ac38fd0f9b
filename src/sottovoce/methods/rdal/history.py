"""What a run with checkpoints has to remember, so that it goes on after a kill as if there had been none."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class TrainingHistory(nn.Module):
    """What a run has to remember: what happened in each epoch, and the best loss and since when there was none better.

    Columns of `rows`: event loss, loss of the adversary in the loop, its accuracy on validation, and, where there was a
    verification, the loss and the accuracy of D^tau there; else NaN.
    """

    rows: Tensor
    record: Tensor

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.full((epochs, 5), math.nan, dtype=torch.float64))
        self.register_buffer("record", torch.tensor([-math.inf, 0.0], dtype=torch.float64))

    def tell(self, epoch: int, *numbers: float) -> None:
        """Note an epoch."""
        self.rows[epoch] = torch.tensor(numbers, dtype=torch.float64)

    def judge(self, loss: float) -> bool:
        """Whether `loss` is the highest so far."""
        better = loss > float(self.record[0])
        self.record.copy_(torch.tensor([loss, 0.0] if better else [float(self.record[0]), self.since + 1.0]))
        return better

    @property
    def judged(self) -> bool:
        """Whether any loss was."""
        return bool(torch.isfinite(self.record[0]))

    @property
    def since(self) -> float:
        """How often in a row the loss was not the highest."""
        return float(self.record[1])

    @property
    def told(self) -> NDArray[np.float64]:
        """The epochs that there were, [E, 5]."""
        rows: NDArray[np.float64] = self.rows.numpy()
        return rows[~np.isnan(rows[:, 0])]
