"""What a training looked like on validation, and which networks were best there: state from which it resumes."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

COLUMNS = (
    "step",
    "event_loss",
    "event_accuracy",
    "in_loop_loss",
    "in_loop_accuracy",
    "fresh_loss",
    "fresh_accuracy",
)


class Checks(nn.Module):
    """The numbers of each check on validation, by `COLUMNS`; NaN where there is no adversary, or no fresh one."""

    table: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.full((count, len(COLUMNS)), math.nan, dtype=torch.float64))

    def append(self, number: int, *numbers: float) -> None:
        """Set the row of a check."""
        self.table[number] = torch.tensor(numbers, dtype=torch.float64)

    @property
    def rows(self) -> list[dict[str, float]]:
        """The checks that there were."""
        return [dict(zip(COLUMNS, row, strict=True)) for row in self.table.tolist() if not math.isnan(row[0])]


class Best(nn.Module):
    """The networks with the highest score so far, and for how many scores there was no higher one."""

    state: Tensor

    def __init__(self, networks: nn.Module) -> None:
        super().__init__()
        self.networks = copy.deepcopy(networks)
        self.register_buffer("state", torch.tensor([-math.inf, 0.0], dtype=torch.float64))

    def offer(self, networks: nn.Module, score: float) -> None:
        """Keep a copy of `networks` if its score is the highest."""
        better = score > self.score
        self.state.copy_(torch.tensor([score, 0.0] if better else [self.score, self.since + 1.0]))
        if better:
            self.networks.load_state_dict(networks.state_dict())

    @property
    def score(self) -> float:
        """The highest score, -inf before the first."""
        return float(self.state[0])

    @property
    def since(self) -> int:
        """How many scores in a row were not the highest."""
        return int(self.state[1])


class BestWithin(nn.Module):
    """The networks with the highest score among those that are nearly as accurate as any.

    Nearly: not more than `margin` below the highest accuracy so far. Networks that fall below when the highest accuracy
    rises give way to those that raised it.
    """

    state: Tensor

    def __init__(self, networks: nn.Module, margin: float) -> None:
        super().__init__()
        self.networks = copy.deepcopy(networks)
        self.margin = margin
        self.register_buffer("state", torch.tensor([-math.inf, 0.0, 0.0], dtype=torch.float64))

    def saw(self, accuracy: float) -> None:
        """Remember the highest accuracy, also of networks that are not candidates."""
        self.state[2] = max(accuracy, float(self.state[2]))

    def offer(self, networks: nn.Module, score: float, accuracy: float) -> None:
        """Keep a copy of `networks` if it is accurate enough, and its score higher or the kept one is not."""
        self.saw(accuracy)
        kept, kept_accuracy, highest = self.state.tolist()
        least = highest - self.margin
        if accuracy >= least and (score > kept or kept_accuracy < least):
            self.state[:2] = torch.tensor([score, accuracy])
            self.networks.load_state_dict(networks.state_dict())

    @property
    def score(self) -> float:
        """That of the networks kept, -inf before the first."""
        return float(self.state[0])
