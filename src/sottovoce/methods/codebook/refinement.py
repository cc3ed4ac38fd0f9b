"""A synthesised sound that a recogniser does not know well enough, changed by gradients until it does.

What is learned is a gain for each time and frequency, and how much noise is added there: smooth, and near to nothing,
so that the sound keeps its fine structure. The recogniser is asked about it at random shifts and levels, through random
bands, and with noise, so that what it learns to like is no accident of one of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.training.settings import Positive

_WINDOW, _HOP = 512, 128
_ROWS, _FRAMES_EACH = 64, 2  # the grid of gains: rows, and frames to one of its columns
_QUIET = -3.0  # the logarithm of the noise that there is before anything is learned
_NOISE, _PEAK = 0.3, 0.6
_RIVALS = 0.3


@dataclass(frozen=True)
class RefinementSettings:
    """How a sound is changed: steps of `views` each, and how much it is kept `near` to what it was."""

    steps: Positive = 70
    views: Positive = 4
    learning_rate: float = 0.15
    near: float = 0.6


def refined(sound: Wave, logits: Callable[[Tensor], Tensor], class_: int, settings: RefinementSettings) -> Wave:
    """The sound [20480], which may be repeated end to end, so that `logits` [B, K] of [B, 20480] tell it as a class.

    Gradients have to flow through `logits`. The highest peak of what is given is 0.6 of full scale.
    """
    rng = np.random.default_rng(0)
    given = torch.from_numpy(sound)
    noise = _NOISE * float(sound.std()) * torch.from_numpy(rng.standard_normal(len(sound)).astype(np.float32))
    spectrum, added = _transform(given), _transform(noise)
    shape = _ROWS, spectrum.shape[1] // _FRAMES_EACH + 1
    gains, amounts = torch.zeros(shape).requires_grad_(), torch.full(shape, _QUIET).requires_grad_()
    optimiser = torch.optim.Adam([gains, amounts], lr=settings.learning_rate)

    def changed() -> Tensor:
        wave = _inverse(spectrum * _grown(gains, spectrum).exp() + added * _grown(amounts, spectrum).exp())
        return _PEAK * wave / wave.abs().max()

    for _ in range(settings.steps):
        wave = changed()
        answers = logits(torch.stack([_view(wave, rng) for _ in range(settings.views)]))
        rivals = torch.cat([answers[:, :class_], answers[:, class_ + 1 :]], dim=1).amax(dim=1)
        far = gains.square().mean() + _NOISE * (amounts - _QUIET).square().mean()
        loss = (_RIVALS * rivals - answers[:, class_]).mean() + settings.near * far
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return np.asarray(changed().detach().numpy())


def _transform(sound: Tensor) -> Tensor:
    """Short-time spectrum of a sound that goes on around its end."""
    around = torch.cat([sound[-_WINDOW:], sound, sound[:_WINDOW]])
    return torch.stft(around, _WINDOW, _HOP, window=torch.hann_window(_WINDOW), return_complex=True)


def _inverse(spectrum: Tensor) -> Tensor:
    around = torch.istft(spectrum, _WINDOW, _HOP, window=torch.hann_window(_WINDOW))
    return around[_WINDOW : _WINDOW + SEGMENT_SAMPLES]


def _grown(grid: Tensor, spectrum: Tensor) -> Tensor:
    """A grid, interpolated to all times and frequencies."""
    return functional.interpolate(grid[None, None], size=spectrum.shape, mode="bilinear")[0, 0]


def _view(wave: Tensor, rng: np.random.Generator) -> Tensor:
    """A sound at a random shift and level, through a random band or none, with noise."""
    wave = torch.roll(wave, int(rng.integers(len(wave)))) * 10.0 ** (rng.uniform(-25.0, 0.0) / 20.0)
    if rng.random() < 0.5:
        hertz = torch.linspace(0.0, SAMPLE_RATE / 2, len(wave) // 2 + 1)
        band = 1.0 / (1.0 + (hertz / rng.uniform(3500.0, 8000.0)) ** 12).sqrt()
        band = band / (1.0 + (rng.uniform(20.0, 200.0) / (hertz + 1.0)) ** 4).sqrt()
        wave = torch.fft.irfft(torch.fft.rfft(wave) * band, len(wave))
    level = wave.detach().square().mean().sqrt() * 10.0 ** (-rng.uniform(15.0, 40.0) / 20.0)
    noise = torch.from_numpy(rng.standard_normal(len(wave)).astype(np.float32))
    found: Tensor = wave + level * noise
    return found
