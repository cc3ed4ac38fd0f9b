"""Attackers that bring a pretrained speaker encoder, and listen to sound through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor, nn

from sottovoce.attack.attacker import Array, Heard, Labels
from sottovoce.attack.encoder import embed, partials, voices
from sottovoce.attack.network import NetworkAttacker
from sottovoce.attack.statistics import Chosen, logistic
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError
from sottovoce.models.speaker_encoder import EMBEDDING, one_thread, pretrained

_NEEDS = "a public speaker encoder, and labelled recordings as the application receives them"
_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse strengths
_HEAD_SCALE = 30.0


class OnEmbedding(Chosen):
    """Logistic regression on embeddings of the encoder as it is, its penalty chosen."""

    name = "pretrained encoder, linear"
    needs = _NEEDS

    def features(self, heard: Heard) -> Array:
        return embeddings(heard)

    def candidates(self, utterances: int) -> list[Any]:
        return logistic(_PENALTIES)


class FineTuned(NetworkAttacker):
    """The encoder, trained on with a head of its own."""

    needs = _NEEDS

    def __init__(self, cycles: int, seed: int, first_cycle: int = 20) -> None:
        super().__init__("pretrained encoder, fine-tuned", _Tuned, first_cycle, cycles, seed, 3e-4, _as_partials)

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        with one_thread():
            return super().fit(train, labels, validation, validation_labels, classes)

    def scores(self, heard: Heard) -> Array:
        with one_thread():
            return super().scores(heard)


class _Tuned(nn.Module):
    """The pretrained encoder and a linear layer: [B, 40, 160] -> [B, K]."""

    def __init__(self, classes: int, bins: int, frames: int) -> None:
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


def _as_partials(heard: Heard) -> Heard:
    return Heard(*partials(_sound(heard)), heard.outline)


def embeddings(heard: Heard) -> Array:
    """What the encoder makes of each utterance, [U, 256]; ConfigError where no sound was heard."""
    return embed(*(heard.voices or voices(_sound(heard))))


def _sound(heard: Heard) -> Sequence[Wave]:
    if heard.waves is None:
        raise ConfigError("a speaker encoder listens to sound, but only features were heard; let it hear sound.")
    return heard.waves
