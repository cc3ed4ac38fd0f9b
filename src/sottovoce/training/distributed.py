"""Training on several processes, as torchrun starts them: each computes on its share of every batch.

Every process draws the whole batch by the seed of the step, takes its share of it, and averages its gradients with the
others before each step of an optimiser. So all hold the same weights, and these differ from those of one process by the
order of sums alone, unless a layer takes statistics of a batch, which are then those of a share. The first process
reports, saves and writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from sottovoce.errors import ConfigError
from sottovoce.training.device import device

Rows = TypeVar("Rows", bound=np.generic)


def join() -> None:
    """Meet the other processes, if torchrun started this one and they have not met yet."""
    if distributed.is_available() and distributed.is_torchelastic_launched() and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device().type == "cuda" else "gloo")


def processes() -> int:
    """How many there are."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return distributed.get_rank() if processes() > 1 else 0


def share(rows: NDArray[Rows]) -> NDArray[Rows]:
    """This process's share of what was drawn for a batch [B, ...]; ConfigError where B cannot be divided."""
    if len(rows) % processes():
        raise ConfigError(f"a batch of {len(rows)} cannot be divided among {processes()} processes; choose another.")
    return rows[rank() :: processes()]


def average(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradient of each parameter by its mean over all processes."""
    if processes() == 1:
        return
    slopes = [parameter.grad for parameter in parameters if parameter.grad is not None]
    together = torch.cat([slope.flatten() for slope in slopes])
    distributed.all_reduce(together)
    for slope, part in zip(slopes, torch.split(together, [slope.numel() for slope in slopes]), strict=True):
        slope.copy_(part.view_as(slope) / processes())


def average_statistics(network: nn.Module) -> None:
    """Replace what a network counted over its batches by its mean over all processes."""
    for buffer in network.buffers() if processes() > 1 else ():
        if buffer.is_floating_point():
            distributed.all_reduce(buffer)
            buffer /= processes()


def same(number: int) -> bool:
    """Whether all processes have the same number."""
    if processes() == 1:
        return True
    extremes = torch.tensor([number, -number], device=device())
    distributed.all_reduce(extremes, distributed.ReduceOp.MAX)
    return bool(extremes[0] == -extremes[1])


def norm(share_of_batch: Tensor) -> Tensor:
    """The norm of a tensor of which each process holds a share."""
    squares = share_of_batch.square().sum()
    if processes() > 1:
        distributed.all_reduce(squares)
    return squares.sqrt()


def mean(value: float) -> float:
    """The mean of a number over all processes."""
    if processes() == 1:
        return value
    total = torch.tensor(value, device=device())
    distributed.all_reduce(total)
    return float(total) / processes()
