"""A speaker encoder that was trained, elsewhere, on thousands of other speakers.

It ships inside Resemblyzer 0.1.4 (Apache-2.0; Wan et al. 2018, "Generalized end-to-end loss for speaker verification").
Of that package only the weights are used: its code needs libraries that nothing else here does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sottovoce.attack.attacker import Array
from sottovoce.audio.level import normalise, rms
from sottovoce.audio.mel import filterbank
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.manifest import file_sha256
from sottovoce.errors import MissingExtraError

_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
EMBEDDING = 256  # dimensions
_MELS = 40
_WINDOW_SAMPLES, _HOP_SAMPLES = 400, 160
_PARTIAL_FRAMES = 160  # 1.6 s, which the encoder was trained on
_LEVEL_RMS = 10.0 ** (-30.0 / 20.0)  # fainter sound is brought to this
_READ_AT_ONCE = 64
_HANN = np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
_TINY = 1e-9


class SpeakerEncoder(nn.Module):
    """Mel spectra [B, 40, N] to embeddings [B, 256] of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_MELS, EMBEDDING, 3, batch_first=True)
        self.linear = nn.Linear(EMBEDDING, EMBEDDING)

    def forward(self, mels: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(mels.transpose(1, 2))
        return functional.normalize(self.linear(hidden[-1]).relu(), dim=1)


def available() -> bool:
    """Whether the weights are installed, and are those that this module knows."""
    return _place() is not None


def pretrained() -> SpeakerEncoder:
    """The encoder with its published weights; MissingExtraError where they are not installed."""
    place = _place()
    if place is None:
        raise MissingExtraError("the speaker encoder is not installed; pip install --no-deps Resemblyzer==0.1.4.")
    weights = torch.load(place, map_location="cpu", weights_only=True)["model_state"]
    encoder = SpeakerEncoder()
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    return encoder


@cache
def _place() -> Path | None:
    package = find_spec("resemblyzer")  # found, not imported
    folders = package.submodule_search_locations if package is not None else None
    places = [Path(folder) / "pretrained.pt" for folder in folders or ()]
    return next((place for place in places if place.is_file() and file_sha256(place) == _SHA256), None)


def mels(wav: Wave) -> Array:
    """Mel power spectrum [N, 40] of sound [T] at 16 kHz, N = 1 + T // 160; frame n is centred on sample 160 n."""
    louder = normalise(wav, _LEVEL_RMS) if rms(wav) < _LEVEL_RMS else wav
    padded = np.pad(louder, _WINDOW_SAMPLES // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    power = np.abs(np.fft.rfft(windows * _HANN)) ** 2
    return (power @ filterbank(_MELS, _WINDOW_SAMPLES, SAMPLE_RATE).T).astype(np.float32)


def partials(waves: Sequence[Wave]) -> tuple[Array, NDArray[np.int64]]:
    """Mel spectra of 1.6 s that overlap by half [S, 40, 160], the last padded with silence, and whose each is [S]."""
    cut = [_overlapping(mels(wav)) for wav in waves]
    return np.concatenate(cut), np.repeat(np.arange(len(cut)), [len(part) for part in cut])


def _overlapping(mel: Array) -> Array:
    step = _PARTIAL_FRAMES // 2
    count = 1 + max(0, -(-(len(mel) - _PARTIAL_FRAMES) // step))
    padded = np.pad(mel, ((0, max(0, (count + 1) * step - len(mel))), (0, 0)))
    return np.stack([padded[i * step : i * step + _PARTIAL_FRAMES].T for i in range(count)])


def voices(waves: Sequence[Wave]) -> tuple[Array, NDArray[np.int64]]:
    """Embeddings [P, 256] of length 1 of pieces of 1.6 s of sounds [T] at 16 kHz, and whose each is [P]."""
    spectra, owner = partials(waves)
    encoder = pretrained()
    with one_thread(), torch.no_grad():
        each = [encoder(part) for part in torch.split(torch.from_numpy(spectra), _READ_AT_ONCE)]
    return torch.cat(each).numpy(), owner


def embed(voices: Array, owner: NDArray[np.int64]) -> Array:
    """One embedding [U, 256] of length 1 for each owner of `voices` [P, 256]; owners [P] ascend from 0 to U - 1."""
    total = np.add.reduceat(voices, np.searchsorted(owner, np.arange(owner[-1] + 1)))
    embeddings: Array = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), _TINY)
    return embeddings


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: on more, where others compute as well, an LSTM can be a hundred times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
