"""RDAL's mask: a U-Net that takes speech out of a mixture, trained with L1 on pairs and frozen then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sottovoce.models.rdal import MaskUnet
from sottovoce.training.loop import Run, device, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Rate


@dataclass(frozen=True)
class MaskSettings:
    """How wide the mask is, and how it is trained: `epochs` over all pairs."""

    width: Positive = 4
    epochs: int = 8
    batch: Positive = 32
    learning_rate: Rate = 2e-3


def train_mask(pairs: NDArray[np.float32], settings: MaskSettings, run: Run) -> MaskUnet:
    """A mask for magnitudes, from pairs [P, 2, F, N]: the clean event, and the same event with speech.

    It minimises the mean absolute difference between the masked mixture and the event, over the mixture's mean.
    """
    torch.manual_seed(run.seed)
    mask = MaskUnet(settings.width)
    mask.to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(mask.parameters(), lr=settings.learning_rate)
    batches = max(1, len(pairs) // settings.batch)

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, one_cycle(number, run.steps, settings.learning_rate))
        order = np.random.default_rng([run.seed, 7, number // batches]).permutation(len(pairs))
        rows = order[number % batches * settings.batch :][: settings.batch]
        event, mixture = torch.from_numpy(pairs[rows]).to(device()).unbind(dim=1)
        loss = mask_loss(mask, event, mixture)
        return f"mask: L1 {update(optimiser, loss):.3f}"

    mask.train()
    run = run.part("mask", settings.epochs * batches)
    train(step, {"mask": mask, "optimiser": optimiser}, run)
    mask.eval().cpu().requires_grad_(False)
    return mask


def mask_loss(mask: MaskUnet, event: Tensor, mixture: Tensor) -> Tensor:
    """L1 between what the mask leaves of mixtures [B, F, N] and their events, each over the mean of the mixture."""
    scale = mixture.mean(dim=(1, 2), keepdim=True).clamp(min=1e-6)
    kept: Tensor = mask(mixture) * mixture
    return ((kept - event).abs() / scale).mean()
