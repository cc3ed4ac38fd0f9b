"""The x-vector network (Snyder et al., ICASSP 2018): time-delay layers, statistics pooling, an embedding of 512.

    log spectra [B, 161, N] -- mel bands --> [B, 40, N] -- five layers over 15 frames --> [B, 1500, N - 14]
      -- mean and deviation over time --> [B, 3000] -- linear: the x-vector --> [B, 512] -- two layers --> speakers

Two things differ from the article: the mel bands are averages of the project's standardised log spectra, not 24
filterbank energies, and no frame is left out by a voice activity detector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sottovoce.audio.mel import filterbank
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SAMPLE_RATE, WINDOW_SAMPLES
from sottovoce.models.compact import SpecAugment

EMBEDDING = 512  # dimensions of an x-vector
CONTEXT_FRAMES = 15  # that one frame of the fifth layer sees


class XVector(nn.Module):
    """Standardised log spectra [B, 161, N], N of 15 or more, to logits of speakers [B, K]; `embed` gives x-vectors.

    `width` and `pooled` are the article's 512 and 1500.
    """

    hear = staticmethod(front_end)
    mel: Tensor

    def __init__(self, classes: int, width: int = 512, pooled: int = 1500, bands: int = 40) -> None:
        super().__init__()
        weights = torch.from_numpy(filterbank(bands, WINDOW_SAMPLES, SAMPLE_RATE))
        if not bool((weights.sum(dim=1) > 0).all()):
            raise ValueError(f"{bands} mel bands are narrower than a bin of the spectrum")
        self.register_buffer("mel", weights / weights.sum(dim=1, keepdim=True), persistent=False)
        self.augment = SpecAugment()
        self.frames = nn.Sequential(
            _delayed(bands, width, 5, 1),
            _delayed(width, width, 3, 2),
            _delayed(width, width, 3, 3),
            _delayed(width, width, 1, 1),
            _delayed(width, pooled, 1, 1),
        )
        self.embedding = nn.Linear(2 * pooled, EMBEDDING)
        self.output = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm1d(EMBEDDING),
            nn.Linear(EMBEDDING, EMBEDDING),
            nn.ReLU(),
            nn.BatchNorm1d(EMBEDDING),
            nn.Linear(EMBEDDING, classes),
        )

    def embed(self, spectrum: Tensor) -> Tensor:
        """X-vectors [B, 512] of standardised log spectra [B, 161, N]."""
        bands = self.mel @ self.augment(spectrum.unsqueeze(1)).squeeze(1)
        hidden = self.frames(bands)
        deviation = (hidden.var(dim=2) + 1e-5).sqrt()
        vectors: Tensor = self.embedding(torch.cat([hidden.mean(dim=2), deviation], dim=1))
        return vectors

    def forward(self, spectrum: Tensor) -> Tensor:
        logits: Tensor = self.output(self.embed(spectrum))
        return logits


def _delayed(inputs: int, outputs: int, taps: int, step: int) -> nn.Module:
    """A time-delay layer: `taps` frames, `step` apart, without padding."""
    return nn.Sequential(nn.Conv1d(inputs, outputs, taps, dilation=step), nn.ReLU(), nn.BatchNorm1d(outputs))
