"""Restoring: a fresh deobfuscator, trained on pairs of obfuscated and original sound."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.attack.attacker import Array
from sottovoce.audio.segment import standardise
from sottovoce.models.compact import CompactAutoencoder

_BATCH = 16
_READ_AT_ONCE = 64
_HELD_OUT = 0.1
_GAIN = 0.05  # of the error on what was held out: a second cycle that gains less has come to its end


class Restorer:
    """Learns to turn obfuscated features [S, F', N'] back into original spectra, [S, F, N].

    Trained in two cycles of falling rate, of `steps` and twice as many batches; `errors_` are their mean squared errors
    on a tenth of the pairs that was held out. Converged: the second is less than 5 % below the first.
    """

    def __init__(self, steps: int, seed: int) -> None:
        self.steps = steps
        self.seed = seed

    def fit(self, obfuscated: Array, original: Array) -> Self:
        torch.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(original))
        held_out, train = np.split(order, [max(1, round(_HELD_OUT * len(order)))])
        self.network_: nn.Module = CompactAutoencoder(width=24, blocks=2)
        if obfuscated.shape[1:] != original.shape[1:]:
            self.network_ = nn.Sequential(_Spread(obfuscated.shape[1:], original.shape[1:]), self.network_)
        self.errors_: list[float] = []
        for steps in (self.steps, 2 * self.steps):
            self._cycle(obfuscated, original, train, steps, rng)
            restored = self.restore(obfuscated[held_out])
            self.errors_.append(float(np.square(restored - original[held_out]).mean()))
        self.converged_ = self.errors_[1] > (1.0 - _GAIN) * self.errors_[0]
        return self

    def restore(self, obfuscated: Array) -> Array:
        """Restored spectra [S, F, N]."""
        self.network_.eval()
        starts = range(0, len(obfuscated), _READ_AT_ONCE)
        with torch.no_grad():
            parts = [self.network_(torch.tensor(obfuscated[i : i + _READ_AT_ONCE])) for i in starts]
        return torch.cat(parts).numpy()

    def _cycle(
        self, obfuscated: Array, original: Array, train: NDArray[np.int64], steps: int, rng: np.random.Generator
    ) -> None:
        self.network_.train()
        optimiser = torch.optim.AdamW(self.network_.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
        for _ in range(steps):
            chosen = rng.choice(train, _BATCH)
            restored = self.network_(torch.tensor(obfuscated[chosen]))
            loss = functional.mse_loss(restored, torch.tensor(original[chosen]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


class _Spread(nn.Module):
    """A linear map of each frame of a feature [B, F', N'] to those of the spectrum [B, F, N] that it stands for."""

    def __init__(self, obfuscated: tuple[int, ...], original: tuple[int, ...]) -> None:
        super().__init__()
        self.frames = original[1]
        stride = -(-original[1] // obfuscated[1])
        self.map = nn.ConvTranspose1d(obfuscated[0], original[0], stride, stride=stride)

    def forward(self, feature: Tensor) -> Tensor:
        spectrum: Tensor = self.map(feature)
        return spectrum[:, :, : self.frames]


_INVERTED_AT_ONCE = 64
_RATE = 0.05
# How strongly the start pulls, where the obfuscated spectra leave a choice. Measured on one untrained network of
# each kind: a compact obfuscator, which keeps little, is inverted best with 0.3 to 1, and with 0 the result is
# further from the original than the start was; a convolution, which keeps nearly all, best with 0.03, the least
# that was tried there.
_PULL = 0.3
_SILENT = 1e-6


def invert(obfuscator: nn.Module, obfuscated: Array, start: Array, steps: int) -> Array:
    """Standardised spectra [S, 161, 128] that `obfuscator` turns into something close to `obfuscated` [S, 161, 128].

    `steps` of gradient descent from `start` [S, 161, 128], such as a restorer's guess. The same every time; the filter
    is not changed, but for being in evaluation mode.
    """
    obfuscator.eval()
    parts = [
        _descended(
            obfuscator,
            torch.tensor(obfuscated[i : i + _INVERTED_AT_ONCE]),
            torch.tensor(start[i : i + _INVERTED_AT_ONCE]),
            steps,
        )
        for i in range(0, len(obfuscated), _INVERTED_AT_ONCE)
    ]
    return standardise(np.concatenate(parts))


def _descended(obfuscator: nn.Module, obfuscated: Tensor, start: Tensor, steps: int) -> Array:
    """Each segment has a loss of its own, so that it does not matter which others are in the batch."""
    inverted = start.clone().requires_grad_()
    scale = obfuscated.var(dim=(1, 2)) + _SILENT
    optimiser = torch.optim.Adam([inverted], lr=_RATE)
    for _ in range(steps):
        apart = (obfuscator(inverted) - obfuscated).square().mean(dim=(1, 2)) / scale
        loss = (apart + _PULL * (inverted - start).square().mean(dim=(1, 2))).sum()
        (inverted.grad,) = torch.autograd.grad(loss, inverted)
        optimiser.step()
    spectra: Array = inverted.detach().numpy()
    return spectra
