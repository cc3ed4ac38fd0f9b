"""The encoder of sounds at home: spectra to the log posteriors of events and of none, small enough to ship."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sottovoce.audio.spectrum import BINS, SAMPLE_RATE

BANDS = 64
AUDIOSET = 521  # classes that a teacher scores

_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7950.0
_WIDTHS = (1, 32, 64, 128, 192, 256)
_STRIDES = ((2, 4), (2, 2), (1, 1), (2, 2), (1, 1))
_ROWS = 8  # of BANDS, after the strides
_CERTAIN = 100.0


class EventEncoder(nn.Module):
    """Standardised log spectra [B, 161, 128] to log posteriors [B, K + 1] of K events and of none: 0.8 M parameters.

    Digital silence is none.

    In training it also learns what a teacher gives to these sounds: scores of all classes of AudioSet, and embeddings.
    """

    bands: Tensor

    def __init__(self, events: int) -> None:
        super().__init__()
        self.register_buffer("bands", torch.from_numpy(band_weights()), persistent=False)
        layers: list[nn.Module] = []
        for (inputs, outputs), stride in zip(pairwise(_WIDTHS), _STRIDES, strict=True):
            size = 5 if inputs == 1 else 3
            layers.append(nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(2 * _ROWS * _WIDTHS[-1], events + 1)

    def embed(self, bands: Tensor) -> Tensor:
        """[B, 64, N] -> [B, 4096]: mean and maximum over time, for each band and channel."""
        hidden: Tensor = self.layers(bands[:, None])
        return self.dropout(torch.cat([hidden.mean(dim=3), hidden.amax(dim=3)], dim=1).flatten(1))  # type: ignore[no-any-return]

    def forward(self, spectra: Tensor) -> Tensor:
        """[B, 161, 128] -> [B, K + 1]."""
        logits: Tensor = self.output(self.embed(self.bands @ spectra))
        silent = (spectra.abs().amax(dim=(1, 2)) == 0.0).to(logits.dtype)[:, None]  # nothing was learned from it
        logits = torch.cat([logits[:, :-1], logits[:, -1:] + _CERTAIN * silent], dim=1)
        return logits.log_softmax(dim=1)


def band_weights() -> NDArray[np.float32]:
    """Weights [64, 161] that average bins of 50 Hz into bands, evenly spaced in mel, none narrower than two bins."""
    low, high = (1127.0 * np.log1p(hertz / 700.0) for hertz in (_LOWEST_HZ, _HIGHEST_HZ))
    corners = 700.0 * np.expm1(np.linspace(low, high, BANDS + 2) / 1127.0)[:, None]
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, BINS)
    bin_hz = hertz[1]
    peaks = corners[1:-1]
    below, above = np.minimum(corners[:-2], peaks - bin_hz), np.maximum(corners[2:], peaks + bin_hz)
    triangles = np.maximum(0.0, np.minimum((hertz - below) / (peaks - below), (above - hertz) / (above - peaks)))
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True), np.float32)
