"""Training the x-vector network: who speaks in a segment, over the speakers of one corpus or of several together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.manifest import Manifest
from sottovoce.errors import CorpusError
from sottovoce.models.xvector import XVector
from sottovoce.training.device import device
from sottovoce.training.loop import Run, draw, one_cycle, set_learning_rate, train, update
from sottovoce.training.settings import Positive, Rate


class Spoken(NamedTuple):
    """Recordings whose speakers are known: those at positions `clips` of a manifest."""

    manifest: Manifest
    sounds: Sounds
    clips: NDArray[np.int64]


@dataclass(frozen=True)
class XVectorSettings:
    """How an x-vector network is built and trained."""

    settings: Mapping[str, int] = field(default_factory=dict)
    steps: Positive = 1500
    batch: Positive = 64
    learning_rate: Rate = 3e-3
    weight_decay: Rate = 0.01


PRESETS: Mapping[str, XVectorSettings] = MappingProxyType(
    {
        "compact": XVectorSettings({"width": 128, "pooled": 384}),
        "people": XVectorSettings({"width": 128, "pooled": 384}, steps=6000),  # hundreds of speakers
        "quick": XVectorSettings({"width": 64, "pooled": 128}, steps=300),
        "paper": XVectorSettings(steps=200_000, learning_rate=1e-3),
    }
)


def train_xvector(spoken: Sequence[Spoken], settings: XVectorSettings, run: Run) -> XVector:
    """An x-vector network that tells the speakers of all of `spoken` apart, in evaluation mode.

    A batch holds clips of each corpus in proportion to the number of its speakers. Raises CorpusError for a clip
    without a speaker.
    """
    labels, speakers = _speakers(spoken)
    counts = np.array([len(np.unique(known[one.clips])) for one, known in zip(spoken, labels, strict=True)])
    torch.manual_seed(run.seed)
    network = XVector(speakers, **settings.settings).to(device())
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)

    def step(number: int, rng: np.random.Generator) -> str:
        set_learning_rate(optimiser, one_cycle(number, run.steps, settings.learning_rate))
        shares = rng.multinomial(settings.batch, counts / counts.sum())
        drawn = [
            (draw(one.sounds, one.clips, share, rng), known)
            for one, known, share in zip(spoken, labels, shares, strict=True)
            if share
        ]
        spectra = torch.cat([part for (part, _), _ in drawn])
        numbers = np.concatenate([known[chosen.cpu().numpy()] for (_, chosen), known in drawn])
        loss = functional.cross_entropy(network(spectra), torch.from_numpy(numbers).to(spectra.device))
        return f"x-vectors of {speakers} speakers: loss {update(optimiser, loss):.3f}"

    network.train()
    train(step, {"network": network, "optimiser": optimiser}, run)
    return network.eval().cpu()


def _speakers(spoken: Sequence[Spoken]) -> tuple[list[NDArray[np.int64]], int]:
    """The number of each clip's speaker, for each corpus, -1 for clips that are not used; and how many speakers."""
    labels, speakers = [], 0
    for manifest, _, clips in spoken:
        unnamed = next((manifest.clips[i].id for i in clips if "speaker" not in manifest.clips[i].labels), None)
        if unnamed is not None:
            raise CorpusError(
                f"x-vectors need a label 'speaker' on every clip of {manifest.spec}; {unnamed!r} has none."
            )
        names = sorted({manifest.clips[i].labels["speaker"] for i in clips})
        known = {name: speakers + i for i, name in enumerate(names)}
        labels.append(np.array([known.get(clip.labels.get("speaker", ""), -1) for clip in manifest.clips]))
        speakers += len(names)
    return labels, speakers
