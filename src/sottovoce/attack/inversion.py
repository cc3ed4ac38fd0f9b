"""Inversion: who holds the filter's weights looks for the sound that it would have turned into what was heard."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sottovoce.attack.attacker import Array
from sottovoce.audio.segment import standardise

_BATCH = 64
_RATE = 0.05
# How strongly the start pulls, where what was heard leaves a choice. Measured on one untrained network of each kind:
# a compact obfuscator, which keeps little, is inverted best with 0.3 to 1, and with 0 the result is further from the
# original than the start was; a convolution, which keeps nearly all, best with 0.03, the least that was tried there.
_PULL = 0.3
_SILENT = 1e-6


def invert(obfuscator: nn.Module, heard: Array, start: Array, steps: int) -> Array:
    """Standardised spectra [S, 161, 128] that `obfuscator` turns into something close to `heard` [S, 161, 128].

    `steps` of gradient descent from `start` [S, 161, 128], such as a restorer's guess. The same every time; the filter
    is not changed, but for being in evaluation mode.
    """
    obfuscator.eval()
    parts = [
        _descended(obfuscator, torch.tensor(heard[i : i + _BATCH]), torch.tensor(start[i : i + _BATCH]), steps)
        for i in range(0, len(heard), _BATCH)
    ]
    return standardise(np.concatenate(parts))


def _descended(obfuscator: nn.Module, heard: Tensor, start: Tensor, steps: int) -> Array:
    """Each segment has a loss of its own, so that it does not matter which others are in the batch."""
    found = start.clone().requires_grad_()
    scale = heard.var(dim=(1, 2)) + _SILENT
    optimiser = torch.optim.Adam([found], lr=_RATE)
    for _ in range(steps):
        apart = (obfuscator(found) - heard).square().mean(dim=(1, 2)) / scale
        loss = (apart + _PULL * (found - start).square().mean(dim=(1, 2))).sum()
        (found.grad,) = torch.autograd.grad(loss, found)
        optimiser.step()
    inverted: Array = found.detach().numpy()
    return inverted
