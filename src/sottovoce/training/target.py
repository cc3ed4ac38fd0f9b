"""Training a target: a recogniser of one label, from random segments, scored by the vote over an utterance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.models.architectures import build
from sottovoce.training import distributed
from sottovoce.training.device import device
from sottovoce.training.loop import Run, draw, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Rate, Share


@dataclass(frozen=True)
class TargetSettings:
    """How a target is built and trained; `settings` are the sizes of its architecture."""

    architecture: Literal["compact-recogniser", "deepspeech2", "x-vector"] = "compact-recogniser"
    settings: Mapping[str, int] = field(default_factory=dict)
    steps: Positive = 1300
    batch: Positive = 32
    learning_rate: Rate = 3e-3
    weight_decay: Rate = 0.05
    label_smoothing: Share = 0.05


PRESETS: Mapping[str, TargetSettings] = MappingProxyType(
    {
        "compact": TargetSettings(),
        "quick": TargetSettings(steps=500),
        "paper": TargetSettings("deepspeech2", {"maps": 16, "hidden": 64}),
        "x-vector": TargetSettings("x-vector", {"width": 128, "pooled": 384}),
    }
)


def train_target(
    manifest: Manifest, sounds: Sounds, clips: NDArray[np.int64], task: str, settings: TargetSettings, run: Run
) -> nn.Module:
    """A recogniser of `task`, trained on `clips` (positions in the manifest), in evaluation mode."""
    classes = manifest.classes(task)
    number = {name: i for i, name in enumerate(classes)}
    labels = torch.tensor([number[clip.labels[task]] for clip in manifest.clips]).to(device())
    torch.manual_seed(run.seed)
    network = build(settings.architecture, {**settings.settings, "classes": len(classes)}).to(device())
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, one_cycle(number, run.steps, settings.learning_rate))
        spectra, chosen = draw(sounds, clips, settings.batch, rng)
        loss = functional.cross_entropy(network(spectra), labels[chosen], label_smoothing=settings.label_smoothing)
        return f"loss {update(optimiser, loss):.3f}"

    network.train()
    train(step, {"network": network, "optimiser": optimiser}, run)
    distributed.average_statistics(network)
    return network.eval().cpu()
