"""Voices as the pretrained speaker encoder knows them: embeddings of pieces of a sound, and of all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sottovoce.attack.attacker import Array
from sottovoce.audio.spectrum import Wave
from sottovoce.audio.voice import mels
from sottovoce.models.speaker_encoder import one_thread, pretrained

_PARTIAL_FRAMES = 160  # 1.6 s, which the encoder was trained on
_READ_AT_ONCE = 64
_TINY = 1e-9


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
