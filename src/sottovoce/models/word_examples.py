"""A recogniser of words from a few recordings of each: the word whose mean embedding is nearest, or none of them.

A segment's score for a word is the cosine of its embedding and the mean of the word's examples. The posteriors are a
softmax over the words and one more class, none, whose cosine is a constant, the threshold. What none gets is shared by
all words alike, so that a segment without any of the words has nearly equal posteriors, and few bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import ModelError
from sottovoce.models import word_encoder
from sottovoce.models.target import Target, from_callable

ARCHITECTURE = "word-examples"  # in the configuration of a target folder
FEWEST = 2  # examples of a word

Array = NDArray[np.float32]

_SCALES = np.geomspace(5.0, 80.0, 33)
_THRESHOLDS = np.linspace(0.0, 0.8, 81)
_SMOOTHING = 0.05  # of labels: a few examples that no negative comes near would make posteriors as sure as can be


@dataclass(frozen=True, eq=False)
class WordExamples:
    """The mean embedding of each word, [K, 2048] of length 1, the threshold as a cosine, the scale of all cosines."""

    centres: Array
    threshold: float
    scale: float

    def logits(self, embeddings: Array) -> Array:
        """The logarithms of the posteriors [B, K] of embeddings [B, 2048]."""
        logs = self.log_posteriors(embeddings @ self.centres.T)
        shared = logs[:, -1:] - np.log(len(self.centres))
        return np.asarray(np.logaddexp(logs[:, :-1], shared), np.float32)

    def log_posteriors(self, cosines: Array) -> NDArray[np.float64]:
        """The logarithms of the posteriors [B, K + 1] of all words, and of none, by cosines [B, K]."""
        scaled = self.scale * np.column_stack([cosines, np.full(len(cosines), self.threshold)]).astype(np.float64)
        return np.asarray(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))

    def target(self, task: str, classes: Sequence[str]) -> Target:
        """The target of sound that gives these logits."""

        def recognise(waves: Wave, _: int) -> Array:
            return self.logits(word_encoder.embed(waves))

        return from_callable(recognise, task, classes, "wave", SAMPLE_RATE)

    def files(self) -> tuple[bytes, dict[str, Any]]:
        """The weights, as a safetensors file, and the settings of a target folder."""
        settings = {"threshold": self.threshold, "scale": self.scale, "encoder": word_encoder.SHA256}
        return save({"centres": self.centres}), settings


def restored(settings: Mapping[str, Any], weights: bytes) -> WordExamples:
    """What `files` gave; ModelError where the two do not fit."""
    try:
        centres = np.asarray(load(weights)["centres"], np.float32)
        threshold, scale, encoder = float(settings["threshold"]), float(settings["scale"]), settings["encoder"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the weights are no examples of words ({error}); make the target again.") from error
    if encoder != word_encoder.SHA256 or centres.shape[1:] != (word_encoder.EMBEDDING,):
        raise ModelError("the examples are of another word encoder than this version has; make the target again.")
    if not (np.isfinite(centres).all() and np.isfinite([threshold, scale]).all()):
        raise ModelError("the examples hold values that are not finite; make the target again.")
    return WordExamples(centres, threshold, scale)


def learnt(examples: Sequence[Array], negatives: Array) -> WordExamples:
    """The recogniser of words from embeddings [N, 2048] of each one's examples, and of `negatives` [M, 2048].

    Threshold and scale are the most likely ones, with smoothed labels: for each example by the mean of the others of
    its word, for negatives by none of them; both kinds count alike.
    """
    centres = np.stack([_unit(rows.sum(axis=0)) for rows in examples]).astype(np.float32)
    own, right = left_one_out(examples, centres)
    other = negatives @ centres.T

    def loss(found: WordExamples) -> float:
        return _cross_entropy(found.log_posteriors(own), right) + _cross_entropy(
            found.log_posteriors(other), np.full(len(other), len(centres))
        )

    tried = (WordExamples(centres, float(least), float(scale)) for least in _THRESHOLDS for scale in _SCALES)
    return min(tried, key=loss)


def _cross_entropy(logs: NDArray[np.float64], right: NDArray[np.int64]) -> float:
    return float(-((1.0 - _SMOOTHING) * logs[np.arange(len(logs)), right] + _SMOOTHING * logs.mean(axis=1)).mean())


def left_one_out(examples: Sequence[Array], centres: Array) -> tuple[Array, NDArray[np.int64]]:
    """Cosines [N, K] of each example, which its own word's mean leaves out, and the word of each [N]."""
    rows = []
    for word, own in enumerate(examples):
        for example in own:
            cosines = centres @ example
            cosines[word] = _unit(own.sum(axis=0) - example) @ example
            rows.append(cosines)
    return np.stack(rows), np.repeat(np.arange(len(examples)), [len(own) for own in examples])


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
