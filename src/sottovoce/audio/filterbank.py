"""The logarithmic mel filterbank of Kaldi, which published speaker encoders were trained on (numpy only)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave

BANDS = 80
HOP_SAMPLES = 160
WINDOW_SAMPLES, _FFT_SAMPLES = 400, 512
SEGMENT_FRAMES = 1 + (SEGMENT_SAMPLES - WINDOW_SAMPLES) // HOP_SAMPLES  # 126
_LOWEST_HZ = 20.0
_EMPHASIS = np.float32(0.97)
_SMALLEST = float(np.finfo(np.float32).eps)  # power below which Kaldi takes no logarithm
_POVEY = (np.hanning(WINDOW_SAMPLES) ** 0.85).astype(np.float32)


def log_filterbank(wav: Wave) -> NDArray[np.float32]:
    """Log mel power spectrum [N, 80] of sound [T] at 16 kHz, N = 1 + (T - 400) // 160: only whole windows count.

    Windows of 25 ms every 10 ms, each without its mean, emphasised (0.97) and shaped by Povey's window; no dither.
    A sound that is shorter than one window is padded with silence.
    """
    sound = np.pad(wav, (0, max(0, WINDOW_SAMPLES - len(wav))))
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW_SAMPLES)[::HOP_SAMPLES]
    centred = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([centred[:, :1], centred[:, :-1]], axis=1)
    power = np.abs(np.fft.rfft((centred - _EMPHASIS * before) * _POVEY, _FFT_SAMPLES)) ** 2
    return np.log(np.maximum(power @ _triangles(), _SMALLEST)).astype(np.float32)


def front_end(segments: Wave) -> NDArray[np.float32]:
    """Log filterbanks [S, 80, 126] of segments [S, 20480], without their means over time, as CAM++ takes them."""
    frames = np.stack([log_filterbank(wav).T for wav in segments])
    centred: NDArray[np.float32] = frames - frames.mean(axis=2, keepdims=True)
    return centred


@cache
def _triangles() -> NDArray[np.float32]:
    """Weights [257, 80] of triangles of equal width on the mel scale of HTK."""

    def to_mel(hertz: ArrayLike) -> NDArray[np.float64]:
        return 1127.0 * np.log(1.0 + np.asarray(hertz, np.float64) / 700.0)

    corners = np.linspace(to_mel(_LOWEST_HZ), to_mel(SAMPLE_RATE / 2), BANDS + 2)
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    mel = to_mel(np.linspace(0.0, SAMPLE_RATE / 2, _FFT_SAMPLES // 2 + 1))[:, None]
    return np.maximum(0.0, np.minimum((mel - low) / (peak - low), (high - mel) / (high - peak))).astype(np.float32)
