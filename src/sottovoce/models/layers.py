"""What several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpecAugment(nn.Module):
    """Two bands of under 20 bins and two spans of under 24 frames set to zero, in training only (Park et al. 2019).

    Takes and gives [B, 1, F, N].
    """

    def __init__(self, bins: int = 20, frames: int = 24, masks: int = 2) -> None:
        super().__init__()
        self.widest = (bins, frames)
        self.masks = masks

    def forward(self, spectrum: Tensor) -> Tensor:
        if not self.training:
            return spectrum
        for axis, widest in zip((2, 3), self.widest, strict=True):
            for _ in range(self.masks):
                spectrum = spectrum.masked_fill(_span(spectrum, axis, widest), 0.0)
        return spectrum


def _span(spectrum: Tensor, axis: int, widest: int) -> Tensor:
    """For each of [B, 1, F, N] a random span along `axis`: True inside, shaped to broadcast."""
    batch, length = spectrum.shape[0], spectrum.shape[axis]
    here = spectrum.device
    start = torch.randint(0, max(1, length - widest), (batch, 1), device=here)
    width = torch.randint(0, widest, (batch, 1), device=here)
    position = torch.arange(length, device=here).unsqueeze(0)
    inside = (position >= start) & (position < start + width)
    return inside[:, None, :, None] if axis == 2 else inside[:, None, None, :]


def parameter_count(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def standardised(spectra: Tensor) -> Tensor:
    """Zero mean and unit (unbiased) deviation of each of [B, F, N], as `audio.segment.standardise` makes them."""
    centred = spectra - spectra.mean(dim=(1, 2), keepdim=True)
    return centred / centred.std(dim=(1, 2), keepdim=True)
