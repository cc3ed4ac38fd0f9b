"""Sound to log spectrum and back, as DeepSpeech2 takes it (numpy only).

The unit of everything is one segment of 1.28 s. A segment is brought to one level, transformed, and standardised by
its own mean and deviation: nothing outside the segment is used, and neither its level nor its statistics are handed on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
Spectrum = NDArray[np.float32]

SAMPLE_RATE = 16000
WINDOW_SAMPLES = 320  # 20 ms
HOP_SAMPLES = 160  # 10 ms
BINS = WINDOW_SAMPLES // 2 + 1
SEGMENT_FRAMES = 128
SEGMENT_SAMPLES = SEGMENT_FRAMES * HOP_SAMPLES
SEGMENT_S = SEGMENT_SAMPLES / SAMPLE_RATE

# numpy's transform asks for memory for every frame. glibc, unless it has once seen a large block come back, may give
# that memory back to the system and fetch it anew each time, which takes three times as long as the transform.
np.empty(30 << 20, np.uint8)

_HAMMING = np.hamming(WINDOW_SAMPLES + 1)[:-1].astype(np.float32)  # periodic, as in every STFT library
_HALF = WINDOW_SAMPLES // 2


def stft(wav: Wave) -> NDArray[np.complex64]:
    """Short-time Fourier transform of `wav` [..., T] -> [..., 161, N], N = ceil(T / 160).

    Frame n is centred on sample 160 n; what lies outside the sound is zero.
    """
    frames = -(-wav.shape[-1] // HOP_SAMPLES)
    after = frames * HOP_SAMPLES - wav.shape[-1] + _HALF
    padded = np.pad(wav, [(0, 0)] * (wav.ndim - 1) + [(_HALF, after)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES, axis=-1)[..., ::HOP_SAMPLES, :]
    spectrum = np.fft.rfft(windows[..., :frames, :] * _HAMMING, axis=-1)
    return np.swapaxes(spectrum, -1, -2)


def istft(spectrum: NDArray[np.complex64]) -> Wave:
    """Least-squares inverse of `stft`: [161, N] -> [160 N] (Griffin and Lim 1984, equation 6)."""
    frames = spectrum.shape[-1]
    pieces = np.fft.irfft(spectrum.T, n=WINDOW_SAMPLES, axis=-1).astype(np.float32) * _HAMMING
    # With a hop of half a window, every hop of sound is the second half of one frame plus the first half of the next.
    sound = np.zeros((frames + 1, HOP_SAMPLES), np.float32)
    weight = np.zeros((frames + 1, HOP_SAMPLES), np.float32)
    square = _HAMMING**2
    sound[:frames] += pieces[:, :_HALF]
    sound[1:] += pieces[:, _HALF:]
    weight[:frames] += square[:_HALF]
    weight[1:] += square[_HALF:]
    sound /= weight
    return sound.reshape(-1)[_HALF : _HALF + frames * HOP_SAMPLES]


def log_spectrum(wav: Wave) -> Spectrum:
    """log(1 + magnitude) of `wav` [..., T] -> [..., 161, N] (DeepSpeech2's input before standardisation)."""
    spectrum: Spectrum = np.log1p(np.abs(stft(wav)))
    return spectrum


def magnitude(log_spectrum: Spectrum) -> Spectrum:
    """The magnitude that a log spectrum stands for; below zero, where no sound can be, it is zero."""
    return np.expm1(np.maximum(log_spectrum, 0.0))
