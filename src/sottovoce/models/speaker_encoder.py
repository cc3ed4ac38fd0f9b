"""A speaker encoder that was trained, elsewhere, on thousands of other speakers.

It ships inside Resemblyzer 0.1.4 (Apache-2.0; Wan et al. 2018, "Generalized end-to-end loss for speaker verification").
Of that package only the weights are used: its code needs libraries that nothing else here does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.audio import mel
from sottovoce.errors import MissingExtraError
from sottovoce.models.installed import installed_weights

_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
EMBEDDING = 256  # dimensions


class SpeakerEncoder(nn.Module):
    """Mel spectra [B, 40, N] to embeddings [B, 256] of length 1."""

    hear = staticmethod(mel.front_end)

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(mel.BANDS, EMBEDDING, 3, batch_first=True)
        self.linear = nn.Linear(EMBEDDING, EMBEDDING)

    def embed(self, mels: Tensor) -> Tensor:
        """Embeddings [B, 256] of length 1 of mel spectra [B, 40, N]."""
        _, (hidden, _) = self.lstm(mels.transpose(1, 2))
        return functional.normalize(self.linear(hidden[-1]).relu(), dim=1)

    def forward(self, mels: Tensor) -> Tensor:
        return self.embed(mels)


def available() -> bool:
    """Whether the weights are installed, and are those that this module knows."""
    return _place() is not None


def pretrained() -> SpeakerEncoder:
    """The encoder with its published weights; MissingExtraError where they are not installed."""
    place = _place()
    if place is None:
        raise MissingExtraError("the speaker encoder is not installed; pip install --no-deps Resemblyzer==0.1.4.")
    weights = torch.load(place, map_location="cpu", weights_only=True)["model_state"]
    encoder = SpeakerEncoder()
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    return encoder.eval()


def _place() -> Path | None:
    return installed_weights("resemblyzer", "pretrained.pt", _SHA256)


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: on more, where others compute as well, an LSTM can be a hundred times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
