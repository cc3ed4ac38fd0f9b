"""Embeddings of all recordings of a corpus, made once for all runs of `adr-games` that need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save

from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split
from sottovoce.experiments.experiment import Corpus, Place, SharedJob, digest
from sottovoce.files import write_file
from sottovoce.methods.adr.embeddings import PRETRAINED, Vectors, joined, of_crops, of_segments
from sottovoce.methods.adr.xvector import PRESETS, Spoken, XVectorSettings, train_xvector
from sottovoce.models.adr import Embedder
from sottovoce.models.xvector import XVector
from sottovoce.progress import silent
from sottovoce.training.loop import Run, identity

_MANY = PRESETS["people"]


@dataclass(frozen=True)
class XVectorJob(SharedJob):
    """An x-vector network that tells all speakers of `corpora` apart; none of them may be scored."""

    corpora: tuple[Corpus, ...]
    width: int = _MANY.settings["width"]
    pooled: int = _MANY.settings["pooled"]
    steps: int = _MANY.steps
    batch: int = _MANY.batch
    learning_rate: float = _MANY.learning_rate
    seed: int = 0

    def make(self, place: Place) -> XVector:
        """The network without its layers that name speakers, trained unless it is there."""
        path = place.shared / f"x-vectors-{digest(self)}.safetensors"
        sizes = {"width": self.width, "pooled": self.pooled}
        if not path.is_file():
            settings = XVectorSettings(sizes, self.steps, self.batch, self.learning_rate)
            partial = path.with_name(f".{path.name}.partial")
            run = Run(self.steps, self.seed, silent, partial, identity(job=str(self)))
            opens = [opened(place.spec(corpus), silent) for corpus in self.corpora]
            spoken = [Spoken(manifest, sounds, np.arange(len(sounds))) for manifest, sounds in opens]
            trained = _without_speakers(train_xvector(spoken, settings, run))
            write_file(path, save(trained.state_dict()))
            partial.unlink(missing_ok=True)
        network = _without_speakers(XVector(2, **sizes))
        network.load_state_dict(load(path.read_bytes()))
        return network.eval()


Voices = XVectorJob | str  # or the name of a pretrained encoder


def embedder(voices: Voices, place: Place) -> Embedder:
    """The network that makes embeddings."""
    return voices.make(place) if isinstance(voices, XVectorJob) else PRETRAINED[voices]()


class Embedded(NamedTuple):
    """Embeddings of a corpus: those of the segments of every clip, and those of random segments of training clips."""

    segments: Vectors
    crops: Vectors

    def of(self, clips: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Vectors:
        """Those of the segments of these clips, in the order of the corpus."""
        chosen = np.flatnonzero(np.isin(self.segments.owner, clips))
        return Vectors(self.segments.vectors[torch.from_numpy(chosen)], self.segments.owner[chosen])


@dataclass(frozen=True)
class EmbeddingsJob(SharedJob):
    """Embeddings of every clip of a corpus, and of `crops` random segments of each clip that is trained on.

    All clips are, or those of the training part of the corpus if it is `divided`.
    """

    voices: Voices
    corpus: Corpus
    crops: int = 0
    divided: bool = False
    seed: int = 0

    def make(self, place: Place) -> Embedded:
        """The embeddings, made unless they are there."""
        path = place.shared / f"embeddings-{digest(self)}.safetensors"
        if not path.is_file():
            manifest, sounds = opened(place.spec(self.corpus), silent)
            clips = np.arange(len(sounds))
            network = embedder(self.voices, place)
            segments = of_segments(network, sounds, clips)
            known = split(manifest).train if self.divided else clips
            none = Vectors(segments.vectors[:0], segments.owner[:0])
            crops = joined([none, *of_crops(network, sounds, known, self.crops, np.random.default_rng(self.seed))])
            tensors = {
                f"{kind}/{name}": value
                for kind, made in (("segments", segments), ("crops", crops))
                for name, value in (("vectors", made.vectors), ("owner", torch.from_numpy(made.owner)))
            }
            write_file(path, save(tensors))
        kept = load(path.read_bytes())
        return Embedded(
            *(Vectors(kept[f"{kind}/vectors"], kept[f"{kind}/owner"].numpy()) for kind in ("segments", "crops"))
        )


def _without_speakers(network: XVector) -> XVector:
    network.output = torch.nn.Sequential()
    return network
