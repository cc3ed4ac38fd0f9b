"""RDAL's mask: a U-Net that takes speech out of a mixture, trained with L1 on pairs and frozen then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sottovoce.methods.rdal.history import Best
from sottovoce.methods.rdal.pairs import PairedClips
from sottovoce.models.rdal import MaskUnet
from sottovoce.training.device import device
from sottovoce.training.loop import Run, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Rate


@dataclass(frozen=True)
class MaskSettings:
    """How wide the mask is, and how it is trained: `epochs` over all pairs at most.

    `patience` epochs without a lower loss on validation end the training, and the best mask is kept; with 0 the
    learning rate has one cycle, and the last is kept. `relative`: magnitudes and the loss are taken over the mean of
    the mixture.
    """

    width: Positive = 4
    epochs: Positive = 8
    batch: Positive = 32
    learning_rate: Rate = 2e-3
    patience: int = 0
    relative: bool = True


PAPER_MASK = MaskSettings(16, 1000, learning_rate=1e-3, patience=20, relative=False)


def train_mask(pairs: PairedClips, validation: PairedClips, settings: MaskSettings, run: Run) -> MaskUnet:
    """A mask for magnitudes, from pairs of clips.

    It minimises the mean absolute difference between the masked mixture and the event as loud as it is in there.
    """
    torch.manual_seed(run.seed)
    mask = MaskUnet(settings.width, settings.relative)
    mask.to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(mask.parameters(), lr=settings.learning_rate)
    best, batches = Best(mask), max(1, len(pairs.gain) // settings.batch)

    def step(number: int, rng: np.random.Generator) -> str:
        if not settings.patience:
            set_learning_rate(optimiser, one_cycle(number, run.steps, settings.learning_rate))
        order = np.random.default_rng([run.seed, 7, number // batches]).permutation(len(pairs.gain))
        rows = order[number % batches * settings.batch :][: settings.batch]
        loss = update(optimiser, mask_loss(mask, *_batch(pairs, rows), settings.relative))
        if settings.patience and (number + 1) % batches == 0:
            best.offer(mask, -_loss(mask, validation, settings))
        return f"mask: L1 {loss:.3f}"

    mask.train()
    run = run.part("mask", settings.epochs * batches)
    parts: dict[str, nn.Module | torch.optim.Optimizer] = {"mask": mask, "optimiser": optimiser, "best": best}
    train(step, parts, run, lambda: 0 < settings.patience <= best.since)
    if settings.patience:
        mask.load_state_dict(best.networks.state_dict())
    mask.eval().cpu().requires_grad_(False)
    return mask


def mask_loss(mask: nn.Module, event: Tensor, mixture: Tensor, relative: bool) -> Tensor:
    """L1 between what the mask leaves of mixtures [B, F, N] and their events; `relative`: over the mixture's mean."""
    kept: Tensor = mask(mixture) * mixture
    wrong = (kept - event).abs()
    return (wrong / mixture.mean(dim=(1, 2), keepdim=True).clamp(min=1e-6)).mean() if relative else wrong.mean()


def _batch(pairs: PairedClips, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """The events as loud as they are in the mixtures, and the mixtures, [B, F, N] each."""
    event, mixture = torch.from_numpy(pairs.magnitudes[rows]).to(device()).unbind(dim=1)
    return event * torch.from_numpy(pairs.gain[rows]).to(device())[:, None, None], mixture


def _loss(mask: nn.Module, pairs: PairedClips, settings: MaskSettings) -> float:
    """The loss of a mask in evaluation mode on all pairs."""
    mask.eval()
    parts = np.array_split(np.arange(len(pairs.gain)), -(-len(pairs.gain) // settings.batch))
    with torch.no_grad():
        losses = [mask_loss(mask, *_batch(pairs, rows), settings.relative).item() * len(rows) for rows in parts]
    mask.train()
    return sum(losses) / len(pairs.gain)
