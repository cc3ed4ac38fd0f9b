"""Log mel spectrograms as YAMNet takes them, in torch: gradients flow to the sound, and ONNX can hold it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sottovoce.audio.spectrum import SAMPLE_RATE

BANDS = 64
WINDOW_SAMPLES, HOP_SAMPLES = 400, 160  # 25 ms, 10 ms

_FFT_SAMPLES = 512
_LOWEST_HZ, _HIGHEST_HZ = 125.0, 7500.0
_OFFSET = 1e-3  # a magnitude far below this is silence
_SMALLEST = 1e-12  # under the root, whose derivative has to be finite


class LogMel(nn.Module):
    """log(mel + 0.001) of magnitudes: sound [B, T] at 16 kHz -> [B, N, 64], N = 1 + (T - 400) // 160.

    Full scale is 1. The transform is a product with sines and cosines, which ONNX has on every device.
    """

    waves: Tensor
    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        window = np.hanning(WINDOW_SAMPLES + 1)[:-1, None]
        phase = 2.0 * np.pi / _FFT_SAMPLES * np.outer(np.arange(WINDOW_SAMPLES), np.arange(_FFT_SAMPLES // 2 + 1))
        waves = np.concatenate([window * np.cos(phase), window * np.sin(phase)], axis=1)
        self.register_buffer("waves", torch.from_numpy(waves.astype(np.float32)), persistent=False)
        self.register_buffer("bands", torch.from_numpy(mel_filters()), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """[B, T] -> [B, N, 64]."""
        real, imaginary = (sound.unfold(1, WINDOW_SAMPLES, HOP_SAMPLES) @ self.waves).chunk(2, dim=2)
        magnitude = (real.square() + imaginary.square() + _SMALLEST).sqrt()
        return (magnitude @ self.bands + _OFFSET).log()


def mel_filters() -> NDArray[np.float32]:
    """Weights [257, 64] from bins to bands: triangles of height 1, whose corners are equally far apart in mel.

    The mel of O'Shaughnessy, 1127 ln(1 + f / 700). The sides of the triangles are straight in mel, as TensorFlow has
    them.
    """
    low, high = (1127.0 * np.log1p(hertz / 700.0) for hertz in (_LOWEST_HZ, _HIGHEST_HZ))
    corners = np.linspace(low, high, BANDS + 2)
    bins = 1127.0 * np.log1p(np.linspace(0.0, SAMPLE_RATE / 2, _FFT_SAMPLES // 2 + 1) / 700.0)[:, None]
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    weights: NDArray[np.float32] = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    return weights
