"""A word encoder that was trained, elsewhere, to bring recordings of the same word near to each other.

It ships inside EfficientWord-Net 1.0.5 (Apache-2.0; Chidhambararajan et al. 2021, "EfficientWord-Net: an open source
hotword detection engine based on few-shot learning"). Of that package only the ONNX graph of weights in 8 bits is used.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import MissingExtraError
from sottovoce.files import file_sha256
from sottovoce.graphs import Session, session

INSTALL = "pip install --no-deps EfficientWord-Net==1.0.5"
SHA256 = "08189e02003f00d1438c9fa05277ac1a91affeb7c58981d11bc5ac89ddbd0424"  # of the graph
EMBEDDING = 2048  # dimensions
WINDOW_SAMPLES = 24_000  # 1.5 s

_GRAPH = "models/resnet_50_arc/slim_93%_accuracy_72.7390%_qint8.onnx"
_BANDS, _FRAME_SAMPLES, _HOP_SAMPLES, _FFT_SAMPLES = 64, 400, 160, 512
_LEAST = np.finfo(np.float64).eps  # in the place of the energy of digital silence

Array = NDArray[np.float32]


def available() -> bool:
    """Whether the graph is installed, and is the one that this module knows."""
    return _place() is not None


def embed(waves: Wave) -> Array:
    """Embeddings [B, 2048] of length 1 of sounds [B, T] at 16 kHz, of which the middle 1.5 s are used.

    MissingExtraError where the encoder is not installed.
    """
    graph = _graph()
    rows = [graph.run(None, {"input": row[None, None]})[0] for row in log_mel(_window(waves))]
    return np.concatenate(rows) if rows else np.zeros((0, EMBEDDING), np.float32)


def log_mel(waves: Wave) -> Array:
    """Log energies [B, N, 64] of sounds [B, T] in mel bands, in rectangular frames of 25 ms every 10 ms.

    N covers all samples, the last frame filled up with zeros: 149 for 1.5 s. The corners of the bands lie on whole bins
    of the transform, as in the package python_speech_features, whose form the encoder was trained on.
    """
    frames = 1 + -(-max(0, waves.shape[-1] - _FRAME_SAMPLES) // _HOP_SAMPLES)
    after = (frames - 1) * _HOP_SAMPLES + _FRAME_SAMPLES - waves.shape[-1]
    padded = np.pad(waves.astype(np.float64), ((0, 0), (0, after)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FRAME_SAMPLES, axis=-1)[:, ::_HOP_SAMPLES]
    energy = np.square(np.abs(np.fft.rfft(windows, _FFT_SAMPLES))) / _FFT_SAMPLES @ _filterbank().T
    return np.log(np.where(energy == 0.0, _LEAST, energy)).astype(np.float32)


@cache
def _filterbank() -> NDArray[np.float64]:
    """Triangles [64, 257] of height 1 whose corners are equally far apart in the mel of HTK, rounded down to bins."""
    highest = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    hertz = 700.0 * (10.0 ** (np.linspace(0.0, highest, _BANDS + 2) / 2595.0) - 1.0)
    corners = np.floor((_FFT_SAMPLES + 1) * hertz / SAMPLE_RATE)[:, None]
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    bins = np.arange(_FFT_SAMPLES // 2 + 1)
    rising = np.where((bins >= low) & (bins < peak), (bins - low) / np.maximum(peak - low, 1.0), 0.0)
    falling = np.where((bins >= peak) & (bins < high), (high - bins) / np.maximum(high - peak, 1.0), 0.0)
    return rising + falling


def _window(waves: Wave) -> Wave:
    """The middle 1.5 s of sounds [B, T], with zeros on both sides of a shorter one: [B, 24000]."""
    spare = waves.shape[-1] - WINDOW_SAMPLES
    if spare >= 0:
        return waves[:, spare // 2 : spare // 2 + WINDOW_SAMPLES]
    return np.pad(waves, ((0, 0), (-spare // 2, -spare - -spare // 2)))


@cache
def _graph() -> Session:
    place = _place()
    if place is None:
        raise MissingExtraError(f"the word encoder is not installed; {INSTALL}.")
    return session(place, others=True)


@cache
def _place() -> Path | None:
    package = find_spec("eff_word_net")  # found, not imported
    folders = package.submodule_search_locations if package is not None else None
    places = [Path(folder) / _GRAPH for folder in folders or ()]
    return next((place for place in places if place.is_file() and file_sha256(place) == SHA256), None)
