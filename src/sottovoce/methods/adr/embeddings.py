"""Embeddings of voices: what ADR protects, by an x-vector network of our own or by a pretrained speaker encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sottovoce.audio.segment import cut
from sottovoce.audio.spectrum import Wave
from sottovoce.corpora.cache import Sounds
from sottovoce.models import campplus, speaker_encoder
from sottovoce.models.adr import Embedder
from sottovoce.models.speaker_encoder import one_thread
from sottovoce.training.device import device
from sottovoce.training.loop import draw_segments

PRETRAINED: Mapping[str, Callable[[], Embedder]] = MappingProxyType(
    {"pretrained": speaker_encoder.pretrained, "campplus": campplus.pretrained}
)  # raise MissingExtraError where the weights are not installed

_AT_ONCE = 64


class Vectors(NamedTuple):
    """Embeddings [M, D], and the position of the clip that each is of, [M]."""

    vectors: Tensor
    owner: NDArray[np.int64]


def embeddings(
    network: Embedder, sounds: Sounds, clips: NDArray[np.int64], crops: int, rng: np.random.Generator
) -> Vectors:
    """Embeddings of the segments of `clips`, and of `crops` random segments of each on top."""
    return joined([of_segments(network, sounds, clips), *of_crops(network, sounds, clips, crops, rng)])


def of_segments(network: Embedder, sounds: Sounds, clips: NDArray[np.int64]) -> Vectors:
    """Embeddings of the segments of `clips`, in their order."""
    parts = []
    for some in _groups(clips):
        segments = [cut(sounds.wave(i)) for i in some]
        owner = np.repeat(some, [len(part) for part in segments])
        parts.append(Vectors(_embedded(network, np.concatenate(segments)), owner))
    return joined(parts)


def of_crops(
    network: Embedder, sounds: Sounds, clips: NDArray[np.int64], crops: int, rng: np.random.Generator
) -> list[Vectors]:
    """Embeddings of `crops` random segments of each of `clips`."""
    drawn = (draw_segments(sounds, some, len(some), rng) for some in _groups(clips) for _ in range(crops))
    return [Vectors(_embedded(network, cuts), chosen) for cuts, chosen in drawn]


def joined(parts: Sequence[Vectors]) -> Vectors:
    """All of these embeddings, one after the other."""
    return Vectors(torch.cat([part.vectors for part in parts]), np.concatenate([part.owner for part in parts]))


def _groups(clips: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Clips by about 32: more sound need not be in memory at once."""
    return np.array_split(clips, max(1, len(clips) // 32))


def _embedded(network: Embedder, segments: Wave) -> Tensor:
    """Embeddings [S, D] of segments [S, 20480]."""
    network.to(device())
    pieces = np.array_split(segments, -(-len(segments) // _AT_ONCE))
    with one_thread(), torch.no_grad():
        vectors = [network.embed(torch.from_numpy(network.hear(part)).to(device())).cpu() for part in pieces]
    network.cpu()
    return torch.cat(vectors)
