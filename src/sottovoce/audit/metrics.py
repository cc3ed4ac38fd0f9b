"""Numbers with intervals: accuracies and differences of accuracies, resampled by cluster."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

Correct = NDArray[np.bool_]
_DRAWS = 2000
_LEVEL = 0.95


class Interval(NamedTuple):
    """A score and its 95 % interval."""

    score: float
    low: float
    high: float


def accuracy(correct: Correct, cluster: NDArray[np.int64], seed: int = 0) -> Interval:
    """Share of right guesses among utterances [U], with a percentile bootstrap over their clusters [U].

    Where resampling shows no spread (all right or all wrong), the exact binomial interval over utterances stands in.
    """
    score = float(correct.mean())
    low, high = _bootstrap(correct.astype(np.float64), cluster, seed)
    if low == high:
        exact = binomtest(int(correct.sum()), len(correct)).proportion_ci(_LEVEL)
        low, high = float(exact.low), float(exact.high)
    return Interval(score, min(low, score), max(high, score))


def difference(first: Correct, second: Correct, cluster: NDArray[np.int64], seed: int = 0) -> Interval:
    """Accuracy of `first` minus that of `second` on the same utterances [U], by the same bootstrap, paired."""
    gain = first.astype(np.float64) - second.astype(np.float64)
    low, high = _bootstrap(gain, cluster, seed)
    return Interval(float(gain.mean()), low, high)


def chance(labels: NDArray[np.int64]) -> float:
    """Accuracy of the best constant guess on these labels [U]."""
    return float(np.bincount(labels).max() / len(labels))


def _bootstrap(values: NDArray[np.float64], cluster: NDArray[np.int64], seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of `values` [U] when clusters are drawn with replacement."""
    _, member = np.unique(cluster, return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member)
    clusters = len(sizes)
    times = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1.0 / clusters), size=_DRAWS)
    means = (times @ sums) / (times @ sizes)
    low, high = np.quantile(means, [(1.0 - _LEVEL) / 2.0, (1.0 + _LEVEL) / 2.0])
    return float(low), float(high)
