"""Linkers: attackers who say how alike two recordings are, to link those of a person of whom nothing was known before.

They read one vector per recording (statistics of its spectra, an embedding), so that the same linkers serve every view.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf

from sottovoce.attack.attacker import Array
from sottovoce.errors import ConfigError

_PAIRS = 20_000  # of each kind: enough for a rate of 1 %, few enough to resample
_VARIANCE, _DIMENSIONS = 0.99, 100  # how much is kept before speakers are told apart
_TINY = 1e-6  # variance added within speakers, for a filter that makes all their recordings one

Positions = NDArray[np.int64]


class Linker(Protocol):
    """Compares vectors. The constructor only stores; learned attributes end in an underscore."""

    name: str
    needs: str  # what this attacker has to have or know, in words

    def fit(self, vectors: Array, speakers: NDArray[np.str_]) -> Self:
        """Learn from vectors [U, D] of recordings, or parts of recordings, and who speaks in each [U].

        Raises ConfigError where there is too little to learn from.
        """
        ...

    def similarity(self, first: Array, second: Array) -> Array:
        """How alike `first` and `second` [n, D] are, row by row, [n] in -1..1; 0 where nothing is known."""
        ...


class Cosine:
    """The angle between vectors, each dimension standardised; it learns nothing about people."""

    name = "cosine"
    needs = "recordings as the application receives them, of anybody"

    def fit(self, vectors: Array, speakers: NDArray[np.str_]) -> Self:
        self.mean_, self.deviation_ = _standard(vectors)
        return self

    def similarity(self, first: Array, second: Array) -> Array:
        return _cosine((first - self.mean_) / self.deviation_, (second - self.mean_) / self.deviation_)


class Discriminant:
    """The angle in the directions in which the speakers of the training recordings differ.

    Standardised vectors are reduced to their principal components; there the covariance W within speakers (shrunk after
    Ledoit and Wolf 2004) and B between them are diagonalised together: W = 1, B = diag(b). A direction weighs
    b / (1 + 2 b), as the product of two recordings does in the likelihood ratio of the two-covariance model (PLDA);
    with lengths normalised (Garcia-Romero and Espy-Wilson 2011) the comparison is a cosine.
    """

    name = "discriminant"
    needs = "recordings as the application receives them, several each of other speakers"

    def fit(self, vectors: Array, speakers: NDArray[np.str_]) -> Self:
        names, member = np.unique(speakers, return_inverse=True)
        counts = np.bincount(member)
        if len(names) < 2 or counts.max() < 2:
            raise ConfigError(
                f"got {len(vectors)} vectors of {len(names)} speakers; expected 2 speakers, one of them twice: "
                "where each has one recording, give its segments."
            )
        self.mean_, self.deviation_ = _standard(vectors)
        standard = (vectors - self.mean_) / self.deviation_
        axes = _principal(standard)
        reduced = standard @ axes
        means = np.stack([np.bincount(member, column) / counts for column in reduced.T], axis=1)
        spare = len(vectors) / (len(vectors) - len(names))  # each mean is fitted to its own recordings
        within = ledoit_wolf(reduced - means[member], assume_centered=True)[0] * spare + _TINY * np.eye(axes.shape[1])
        values, directions = eigh(np.cov(means, rowvar=False).reshape(within.shape), within)
        between = np.maximum(values - (1.0 / counts).mean(), 0.0)  # the means of few recordings differ by chance too
        self.axes_ = (axes @ (directions * np.sqrt(between / (1.0 + 2.0 * between)))).astype(np.float32)
        return self

    def similarity(self, first: Array, second: Array) -> Array:
        one, other = (((vectors - self.mean_) / self.deviation_) @ self.axes_ for vectors in (first, second))
        return _cosine(one, other)


def pairs(
    speakers: NDArray[np.str_], seed: int = 0, most: int = _PAIRS
) -> tuple[Positions, Positions, NDArray[np.bool_]]:
    """Positions `first` < `second` of the recordings [U] of each pair [P], and whether one speaker says both.

    All pairs of one speaker, then all pairs of two; of each kind, where there are more than `most`, so many at random.
    """
    rng, member = np.random.default_rng(seed), np.unique(speakers, return_inverse=True)[1]
    own = [np.flatnonzero(member == number) for number in np.unique(member)]
    same = np.concatenate([np.stack([p[i] for i in np.triu_indices(len(p), 1)]) for p in own], axis=1)
    partners = np.arange(len(member) - 1, -1, -1)  # each has so many after it; all pairs are numbered in this order
    total, start = int(partners.sum()), np.cumsum(partners) - partners
    drawn = rng.choice(total, min(total, same.shape[1] + most), replace=False)
    first = np.searchsorted(start, drawn, side="right") - 1
    both = np.stack([first, drawn - start[first] + first + 1])
    other = both[:, member[both[0]] != member[both[1]]][:, :most]
    same = same if same.shape[1] <= most else rng.permutation(same, axis=1)[:, :most]
    first, second = np.concatenate([same, other], axis=1)
    return first, second, np.arange(len(first)) < same.shape[1]


def _standard(vectors: Array) -> tuple[Array, Array]:
    """Mean and deviation [D]; what never varies is left as it is."""
    deviation = vectors.std(axis=0)
    return vectors.mean(axis=0), np.where(deviation > 0.0, deviation, 1.0)


def _principal(standard: Array) -> Array:
    """Principal axes [D, P] that hold 99 % of the variance, 100 of them at most, fewer than vectors [U, D]."""
    _, lengths, axes = np.linalg.svd(standard, full_matrices=False)
    variance = np.cumsum(lengths.astype(np.float64) ** 2)
    kept = 1 + int(np.searchsorted(variance, _VARIANCE * variance[-1]))
    principal: Array = axes[: min(kept, _DIMENSIONS, len(standard) - 1)].T
    return principal


def _cosine(first: Array, second: Array) -> Array:
    length = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    product: Array = (first * second).sum(axis=1) / np.where(length > 0.0, length, 1.0)
    return product
