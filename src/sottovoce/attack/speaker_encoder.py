"""Attackers that read sound through a pretrained speaker encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sottovoce.attack.attacker import Array, Labels, Observations
from sottovoce.attack.classical import BestOfCandidates, logistic
from sottovoce.attack.families import ATTACKERS
from sottovoce.attack.network import NetworkAttacker
from sottovoce.audio.mel import mels
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError
from sottovoce.models.speaker_encoder import EMBEDDING, one_thread, pretrained

_NEEDS = "a public speaker encoder, and labelled recordings as the application receives them"
_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse strengths
_HEAD_SCALE = 30.0


@ATTACKERS.register("encoder")
class OnEmbedding(BestOfCandidates):
    """Logistic regression on embeddings of the encoder as it is, its penalty chosen."""

    name = "pretrained encoder, linear"
    needs = _NEEDS
    needs_sound = True
    cost = 7

    def features(self, observations: Observations) -> Array:
        return embeddings(observations)

    def candidates(self, utterances: int) -> list[Any]:
        return logistic(_PENALTIES)


@ATTACKERS.register("fine-tuned")
class FineTuned(NetworkAttacker):
    """The encoder, trained on with a head of its own."""

    name = "pretrained encoder, fine-tuned"
    needs = _NEEDS
    needs_sound = True
    cost = 9
    first_cycle = 20
    learning_rate = 3e-4

    def network(self, classes: int, bins: int, frames: int) -> nn.Module:
        return _Tuned(classes)

    def view(self, observations: Observations) -> Observations:
        return Observations(*partials(_sound(observations)), observations.outline)

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        with one_thread():
            return super().fit(train, labels, validation, validation_labels, classes)

    def scores(self, observations: Observations) -> Array:
        with one_thread():
            return super().scores(observations)


class _Tuned(nn.Module):
    """The pretrained encoder and a linear layer: [B, 40, 160] -> [B, K]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = pretrained()
        self.norm = nn.BatchNorm1d(EMBEDDING)
        self.output = nn.Linear(EMBEDDING, classes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, mels: Tensor) -> Tensor:
        # Scaled, the new layer learns at the pace that it needs while the encoder keeps to the slow one that suits it.
        logits: Tensor = _HEAD_SCALE * self.output(self.norm(self.encoder(mels)))
        return logits


def embeddings(observations: Observations) -> Array:
    """What the encoder makes of each utterance, [U, 256]; ConfigError where no sound was observations."""
    return embed(*(observations.speaker_embeddings or speaker_embeddings(_sound(observations))))


def _sound(observations: Observations) -> Sequence[Wave]:
    if observations.waves is None:
        raise ConfigError("a speaker encoder needs sound, and there are only features; observe sound.")
    return observations.waves


_PARTIAL_FRAMES = 160  # 1.6 s, which the encoder was trained on
_READ_AT_ONCE = 64
_TINY = 1e-9


def partials(waves: Sequence[Wave]) -> tuple[Array, NDArray[np.int64]]:
    """Mel spectra of 1.6 s that overlap by half [S, 40, 160], the last padded with silence, and whose each is [S]."""
    cut = [_overlapping(mels(wav)) for wav in waves]
    return np.concatenate(cut), np.repeat(np.arange(len(cut)), [len(part) for part in cut])


def _overlapping(mel: Array) -> Array:
    step = _PARTIAL_FRAMES // 2
    count = 1 + max(0, -(-(len(mel) - _PARTIAL_FRAMES) // step))
    padded = np.pad(mel, ((0, max(0, (count + 1) * step - len(mel))), (0, 0)))
    return np.stack([padded[i * step : i * step + _PARTIAL_FRAMES].T for i in range(count)])


def speaker_embeddings(waves: Sequence[Wave]) -> tuple[Array, NDArray[np.int64]]:
    """Embeddings [P, 256] of length 1 of pieces of 1.6 s of sounds [T] at 16 kHz, and whose each is [P]."""
    spectra, owner = partials(waves)
    encoder = pretrained()
    with one_thread(), torch.no_grad():
        each = [encoder(part) for part in torch.split(torch.from_numpy(spectra), _READ_AT_ONCE)]
    return torch.cat(each).numpy(), owner


def embed(pieces: Array, owner: NDArray[np.int64]) -> Array:
    """One embedding [U, 256] of length 1 for each owner of `pieces` [P, 256]; owners [P] ascend from 0 to U - 1."""
    total = np.add.reduceat(pieces, np.searchsorted(owner, np.arange(owner[-1] + 1)))
    embeddings: Array = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), _TINY)
    return embeddings
