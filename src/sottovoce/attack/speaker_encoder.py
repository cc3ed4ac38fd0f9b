"""Attackers that read sound through a pretrained speaker encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sottovoce.attack.attacker import Array, Labels, Observations
from sottovoce.attack.classical import BestOfCandidates, logistic
from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.network import NetworkAttacker
from sottovoce.audio.filterbank import HOP_SAMPLES, WINDOW_SAMPLES, log_filterbank
from sottovoce.audio.mel import mels
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError
from sottovoce.models import campplus, speaker_encoder
from sottovoce.models.speaker_encoder import one_thread

_NEEDS = "a public speaker encoder, and labelled recordings as the application receives them"
_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse strengths
_HEAD_SCALE = 30.0
_PARTIAL_FRAMES = 160  # 1.6 s, which Resemblyzer was trained on
_PART_FRAMES = 300  # 3 s, which CAM++ was trained on
_FEWEST_SAMPLES = WINDOW_SAMPLES + (_PARTIAL_FRAMES - 1) * HOP_SAMPLES  # of 160 frames
_READ_AT_ONCE = 64
_TINY = 1e-9


@dataclass(frozen=True)
class Encoder:
    """A pretrained speaker encoder.

    `spectrum` makes the frames [N, F] that it reads of sound [T] at 16 kHz, `cut` the pieces [F, n] that it reads one
    by one; `network` makes embeddings [B, D] of length 1 of pieces [B, F, n]. So many pieces cover about four seconds.
    """

    title: str
    size: int  # D
    available: Callable[[], bool]
    network: Callable[[], nn.Module]
    spectrum: Callable[[Wave], Array]
    cut: Callable[[Array], Sequence[Array]]
    in_four_seconds: int


def _without_means(wav: Wave) -> Array:
    """What CAM++ reads; a sound shorter than 1.6 s is repeated."""
    frames = log_filterbank(np.resize(wav, max(len(wav), _FEWEST_SAMPLES)))
    centred: Array = frames - frames.mean(axis=0)
    return centred


def _parts(frames: Array) -> list[Array]:
    """Pieces of about 3 s, equally long."""
    return [part.T for part in np.array_split(frames, max(1, round(len(frames) / _PART_FRAMES)))]


def _overlapping(frames: Array) -> list[Array]:
    """Pieces of 1.6 s [F, 160] that overlap by half, the last padded with silence."""
    step = _PARTIAL_FRAMES // 2
    count = 1 + max(0, -(-(len(frames) - _PARTIAL_FRAMES) // step))
    padded = np.pad(frames, ((0, max(0, (count + 1) * step - len(frames))), (0, 0)))
    return [padded[i * step : i * step + _PARTIAL_FRAMES].T for i in range(count)]


RESEMBLYZER, CAMPPLUS = "resemblyzer", "campplus"
ENCODERS: Mapping[str, Encoder] = MappingProxyType({
    RESEMBLYZER: Encoder(
        "pretrained encoder", speaker_encoder.EMBEDDING, speaker_encoder.available, speaker_encoder.pretrained,
        mels, _overlapping, 4,
    ),
    CAMPPLUS: Encoder(
        "CAM++", campplus.EMBEDDING, campplus.available, campplus.pretrained, _without_means, _parts, 1,
    ),
})  # fmt: skip


def installed() -> list[str]:
    """The names of the encoders whose weights are installed."""
    return [name for name, encoder in ENCODERS.items() if encoder.available()]


@ATTACKERS.register("encoder")
class OnEmbedding(BestOfCandidates):
    """Logistic regression on embeddings of the encoder as it is, its penalty chosen."""

    name = f"{ENCODERS[RESEMBLYZER].title}, linear"
    encoder = RESEMBLYZER
    needs = _NEEDS
    needs_sound = True
    cost = 7

    def features(self, observations: Observations) -> Array:
        return embeddings(self.encoder, observations)

    def candidates(self, utterances: int) -> list[Any]:
        return logistic(_PENALTIES)


@ATTACKERS.register("campplus")
class OnCampplus(OnEmbedding):
    """The same on embeddings of CAM++."""

    name = f"{ENCODERS[CAMPPLUS].title}, linear"
    encoder = CAMPPLUS


@ATTACKERS.register("fine-tuned")
class FineTuned(NetworkAttacker):
    """The encoder, trained on with a head of its own."""

    name = f"{ENCODERS[RESEMBLYZER].title}, fine-tuned"
    encoder = RESEMBLYZER
    needs = _NEEDS
    needs_sound = True
    cost = 9
    first_cycle = 20
    learning_rate = 3e-4

    def network(self, classes: int, bins: int, frames: int) -> nn.Module:
        return _Tuned(ENCODERS[self.encoder], classes)

    def view(self, observations: Observations) -> Observations:
        return Observations(*partials(self.encoder, _sound(observations)), observations.outline)

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        with one_thread():
            return super().fit(train, labels, validation, validation_labels, classes)

    def scores(self, observations: Observations) -> Array:
        with one_thread():
            return super().scores(observations)


@ATTACKERS.register("campplus-tuned")
class FineTunedCampplus(FineTuned):
    """CAM++, trained on with a head of its own."""

    name = f"{ENCODERS[CAMPPLUS].title}, fine-tuned"
    encoder = CAMPPLUS
    cost = 10


class _Tuned(nn.Module):
    """A pretrained encoder and a linear layer: [B, F, 160] -> [B, K]."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder.network()
        self.norm = nn.BatchNorm1d(encoder.size)
        self.output = nn.Linear(encoder.size, classes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, spectra: Tensor) -> Tensor:
        # Scaled, the new layer learns at the pace that it needs while the encoder keeps to the slow one that suits it.
        logits: Tensor = _HEAD_SCALE * self.output(self.norm(self.encoder(spectra)))
        return logits


def embeddings(name: str, observations: Observations) -> Array:
    """What an encoder makes of each utterance, [U, D]; ConfigError where no sound was observed."""
    kept = observations.speaker_embeddings or {}
    return embed(*(kept[name] if name in kept else speaker_embeddings(name, _sound(observations))))


def _sound(observations: Observations) -> Sequence[Wave]:
    if observations.waves is None:
        raise ConfigError("a speaker encoder needs sound, and there are only features; observe sound.")
    return observations.waves


def partials(name: str, waves: Sequence[Wave]) -> tuple[Array, NDArray[np.int64]]:
    """Spectra of 1.6 s that overlap by half [S, F, 160], the last padded with silence, and whose each is [S]."""
    cut = [_overlapping(ENCODERS[name].spectrum(wav)) for wav in waves]
    return np.stack([*chain(*cut)]), np.repeat(np.arange(len(cut)), [len(part) for part in cut])


def speaker_embeddings(name: str, waves: Sequence[Wave]) -> tuple[Array, NDArray[np.int64]]:
    """Embeddings [P, D] of length 1 of pieces of sounds [T] at 16 kHz, and whose each is [P]."""
    encoder = ENCODERS[name]
    network = encoder.network()
    cut = [encoder.cut(encoder.spectrum(wav)) for wav in waves]
    owner = np.repeat(np.arange(len(cut)), [len(pieces) for pieces in cut])
    each = []
    with one_thread(), torch.no_grad():
        for _, alike in groupby(chain(*cut), np.shape):
            batches = torch.split(torch.from_numpy(np.stack([*alike])), _READ_AT_ONCE)
            each += [network(batch) for batch in batches]
    return torch.cat(each).numpy(), owner


def embed(pieces: Array, owner: NDArray[np.int64]) -> Array:
    """One embedding [U, D] of length 1 for each owner of `pieces` [P, D]; owners [P] ascend from 0 to U - 1."""
    total = np.add.reduceat(pieces, np.searchsorted(owner, np.arange(owner[-1] + 1)))
    embeddings: Array = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), _TINY)
    return embeddings
