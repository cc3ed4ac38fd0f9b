"""DeepSpeech2 as a classifier: the paper's target, and the architecture of its attackers.

Amodei et al. 2016; sizes as Wang et al. 2022 set them (16 convolution maps, 64 recurrent units, the last layer sized to
the classes). Kernels, strides, clipped rectifier, summed directions and batch normalisation between recurrent layers
follow the widely used PyTorch implementation. The paper does not give the number of recurrent layers; here it is 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sottovoce.audio.segment import full_band
from sottovoce.audio.spectrum import BINS, Spectrum, Wave
from sottovoce.models.compact import SpecAugment
from sottovoce.models.digit_codes import CODES


class DeepSpeech2(nn.Module):
    """Log spectra [B, 161, N] to logits [B, K]: two convolutions, recurrent layers, mean over time, linear."""

    def __init__(self, classes: int, maps: int = 16, hidden: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, maps, (41, 11), stride=(2, 2), padding=(20, 5)),
            nn.BatchNorm2d(maps),
            nn.Hardtanh(0.0, 20.0),
            nn.Conv2d(maps, maps, (21, 11), stride=(2, 1), padding=(10, 5)),
            nn.BatchNorm2d(maps),
            nn.Hardtanh(0.0, 20.0),
        )
        bins = (BINS + 3) // 4  # two strides of 2, rounded up
        sizes = [maps * bins] + [hidden] * (layers - 1)
        self.recurrent = nn.ModuleList(nn.GRU(size, hidden, batch_first=True, bidirectional=True) for size in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(layers))
        self.output = nn.Linear(hidden, classes, bias=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Logits [B, K] of standardised log spectra [B, 161, N]."""
        hidden = self.convolutions(spectrum.unsqueeze(1)).flatten(1, 2).transpose(1, 2)  # [B, N / 2, maps * bins]
        for recurrent, norm in zip(self.recurrent, self.norms, strict=True):
            forwards, backwards = recurrent(hidden)[0].chunk(2, dim=-1)
            hidden = norm((forwards + backwards).transpose(1, 2)).transpose(1, 2)
        logits: Tensor = self.output(hidden.mean(dim=1))
        return logits


def hear(wav: Wave) -> Spectrum:
    """The input of the network for a sound [T] at 16 kHz: its log spectrum [161, N], standardised as a whole."""
    spectrum: Spectrum = full_band(wav[None])[0]
    return spectrum


class DeepSpeech2Ctc(DeepSpeech2):
    """Log spectra [B, 161, N] of whole utterances to logits [B, ceil(N / 2), K], one row each 20 ms.

    What an utterance gets does not depend on how far the others of its batch are padded.
    """

    def __init__(self, classes: int = CODES, maps: int = 16, hidden: int = 64, layers: int = 3) -> None:
        super().__init__(classes, maps, hidden, layers)
        self.augment = SpecAugment()

    def forward(self, spectrum: Tensor) -> Tensor:
        """Logits [B, ceil(N / 2), K] of standardised log spectra [B, 161, N] that are not padded."""
        return self.read(spectrum, torch.full((len(spectrum),), spectrum.shape[2]))[0]

    def read(self, spectrum: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, M, K] of padded spectra [B, 161, N] of so many `frames` [B], and how many of M are each one's [B].

        The counts are on the CPU, before and after.
        """
        hidden = self.augment(_cut(spectrum.unsqueeze(1), frames))
        counts = (frames + 1) // 2
        for layer in self.convolutions:
            hidden = _cut(layer(hidden), counts)
        hidden = hidden.flatten(1, 2).transpose(1, 2)  # [B, M, maps * bins]
        for recurrent, norm in zip(self.recurrent, self.norms, strict=True):
            packed = pack_padded_sequence(hidden, counts, batch_first=True, enforce_sorted=False)
            forwards, backwards = pad_packed_sequence(recurrent(packed)[0], batch_first=True)[0].chunk(2, dim=-1)
            hidden = norm((forwards + backwards).transpose(1, 2)).transpose(1, 2)
        logits: Tensor = self.output(hidden)
        return logits, counts


def _cut(hidden: Tensor, counts: Tensor) -> Tensor:
    """The same [B, C, F, N], zero past the first `counts` [B] of N."""
    own = counts.to(hidden.device)[:, None, None, None]
    return hidden * (torch.arange(hidden.shape[3], device=hidden.device) < own)
