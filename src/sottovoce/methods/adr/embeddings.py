"""Embeddings of voices: what ADR protects, by an x-vector network of our own or by a pretrained speaker encoder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sottovoce.audio.segment import cut
from sottovoce.corpora.cache import Sounds
from sottovoce.models.speaker_encoder import SpeakerEncoder, one_thread
from sottovoce.models.xvector import XVector
from sottovoce.training.loop import device, draw_segments

Embedder = XVector | SpeakerEncoder

_AT_ONCE = 64


class Vectors(NamedTuple):
    """Embeddings [M, D], and the position of the clip that each is of, [M]."""

    vectors: Tensor
    owner: NDArray[np.int64]


def embeddings(
    network: Embedder, sounds: Sounds, clips: NDArray[np.int64], crops: int, rng: np.random.Generator
) -> Vectors:
    """Embeddings of the segments of `clips`, and of `crops` random segments of each on top."""
    vectors, owners = [], []
    network = network.to(device())
    with one_thread(), torch.no_grad():
        for some in np.array_split(clips, max(1, len(clips) // 32)):
            segments = [cut(sounds.wave(i)) for i in some]
            owner = np.repeat(some, [len(part) for part in segments])
            more = [draw_segments(sounds, some, len(some), rng) for _ in range(crops)]
            spectra = torch.from_numpy(network.hear(np.concatenate([*segments, *(cuts for cuts, _ in more)])))
            owners += [owner, *(chosen for _, chosen in more)]
            vectors += [network.embed(part.to(device())).cpu() for part in torch.split(spectra, _AT_ONCE)]
    network.cpu()
    return Vectors(torch.cat(vectors), np.concatenate(owners))
