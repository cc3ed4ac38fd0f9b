"""The size of networks, and the standardisation of spectra as tensors."""

from __future__ import annotations

from torch import Tensor, nn


def parameter_count(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def standardised(spectra: Tensor) -> Tensor:
    """Zero mean and unit (unbiased) deviation of each of [B, F, N], as `audio.segment.standardise` makes them."""
    centred = spectra - spectra.mean(dim=(1, 2), keepdim=True)
    return centred / centred.std(dim=(1, 2), keepdim=True)
