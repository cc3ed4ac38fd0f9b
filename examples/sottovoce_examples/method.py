"""A protection method: a narrow network that keeps the answers of the target, with no adversary to hide the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from sottovoce.methods.method import Context, Method, Trained
from sottovoce.models.compact import CompactAutoencoder
from sottovoce.models.layers import parameter_count
from sottovoce.runtime.export import save_filter
from sottovoce.training.loop import draw, train, update


@dataclass(frozen=True)
class Settings:
    """What can be overridden by `--set name=value`."""

    width: int = 8
    steps: int = 500
    batch: int = 16
    learning_rate: float = 1e-3


def _train(context: Context[Settings]) -> Trained:
    settings, (target,), clips = context.settings, context.targets, context.split.train
    torch.manual_seed(context.run.seed)
    sizes = {"width": settings.width, "blocks": 1}
    network = CompactAutoencoder(**sizes)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)

    def step(number: int, rng: np.random.Generator) -> str:
        spectra = draw(context.sounds, clips, settings.batch, rng)[0].cpu()
        loss = functional.mse_loss(target.logits(network(spectra)), target.logits(spectra).detach())
        return f"loss {update(optimiser, loss):.3f}"

    train(step, {"network": network, "optimiser": optimiser}, context.run._replace(steps=settings.steps))
    card = {"parameters": parameter_count(network), "bits_per_block": None}  # nothing bounds what it lets through
    return Trained(
        card,
        lambda folder, card, targets: save_filter(
            folder, network.eval(), "compact-autoencoder", sizes, *context.loudness, card, targets
        ),
    )


METHOD = Method("distilled", Settings, {"compact": Settings()}, _train)
