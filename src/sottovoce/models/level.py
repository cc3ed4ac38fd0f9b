"""Sound level in coarse steps, measured and not learned: how loud a block is, and nothing of what it holds.

The level is that of the samples relative to full scale: no microphone is calibrated here, so it is not the sound
pressure in the room. It is A-weighted (IEC 61672): hum, wind and handling, which a person hardly hears, would otherwise
set it. 0 dB is a root mean square of 1, so the loudest sine has -3 dB.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import ConfigError
from sottovoce.models.target import Target, from_module

TASK = "level"
LOWEST_DB, STEP_DB = -60, 15  # below the lowest is none: silence, as far as this filter goes
CLASSES = ("-60 to -45 dBFS", "-45 to -30 dBFS", "-30 to -15 dBFS", "above -15 dBFS")

_TAPS = 257
_BLUR_DB = 1.5  # within which of a border the posteriors of both sides count
_SMALLEST = 1e-12  # of the power: 60 dB below the lowest step


class LevelMeter(nn.Module):
    """Sound [B, T] at 16 kHz, full scale 1, to logits [B, 4] of `CLASSES`: how near its level is to their middles."""

    taps: Tensor
    middles: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("taps", torch.from_numpy(a_weighting())[None, None], persistent=False)
        middles = LOWEST_DB + STEP_DB * (np.arange(len(CLASSES) + 1) - 0.5)  # of none, and of each class
        self.register_buffer("middles", torch.from_numpy(np.roll(middles, -1).astype(np.float32)), persistent=False)

    def decibels(self, sound: Tensor) -> Tensor:
        """The A-weighted level of sound [B, T] in dB of full scale, [B]."""
        weighted = nn.functional.conv1d(sound[:, None], self.taps)
        power: Tensor = weighted.square().mean(dim=(1, 2))
        return 10.0 * (power + _SMALLEST).log10()

    def log_posteriors(self, sound: Tensor) -> Tensor:
        """Those of each class and, last, of none, [B, 5]. Borders are where two are equal."""
        distances = self.decibels(sound)[:, None] - self.middles
        return (-distances.square() / (2.0 * STEP_DB * _BLUR_DB)).log_softmax(dim=1)

    def none(self, sound: Tensor) -> Tensor:
        """The probability that sound [B, T] is below the lowest step, [B]."""
        return self.log_posteriors(sound)[:, -1].exp()

    def forward(self, sound: Tensor, sample_rate: int = SAMPLE_RATE) -> Tensor:
        """[B, T] -> [B, 4]."""
        if sample_rate != SAMPLE_RATE:
            raise ConfigError(f"the level meter got sound at {sample_rate} Hz; expected {SAMPLE_RATE}: resample it.")
        return self.log_posteriors(sound)[:, : len(CLASSES)]


def a_weighting(taps: int = _TAPS) -> Wave:
    """A symmetric filter [taps] at 16 kHz whose gain is that of A-weighting, 1 at 1 kHz."""
    points = 4096
    squared = np.square(np.fft.rfftfreq(points, 1.0 / SAMPLE_RATE))
    gain = 12194.0**2 * squared**2 / (squared + 20.6**2) / (squared + 12194.0**2)
    gain /= np.sqrt((squared + 107.7**2) * (squared + 737.9**2))
    window = np.hanning(taps + 2)[1:-1]
    response = np.roll(np.fft.irfft(gain), taps // 2)[:taps] * window
    response -= window * response.sum() / window.sum()  # an offset of the samples has no level
    at_1_khz = np.abs(np.sum(response * np.exp(-2j * np.pi * 1000.0 / SAMPLE_RATE * np.arange(taps))))
    return np.asarray(response / at_1_khz, np.float32)


def level_target(place: str) -> Target:
    """The level meter as a target of sound; ConfigError where anything follows `level:`."""
    if place:
        raise ConfigError(f"the target level: takes nothing after the colon, got {place!r:.40}; leave it out.")
    meter = LevelMeter()
    return replace(from_module(meter, TASK, CLASSES, "wave"), differentiable=True, logits=meter)
