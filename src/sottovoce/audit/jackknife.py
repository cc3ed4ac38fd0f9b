"""Intervals of shares, and of differences of shares, that hold with few people and with few errors.

A share p whose variance is V has the interval of Clopper and Pearson (1934) for an effective number of recordings, as
Korn and Graubard (1998, "Confidence intervals for proportions with small expected number of positive counts estimated
from survey data") have it: p (1 - p) / V independent recordings would vary as much. V is the jackknife's, which leaves
out one cluster after another. Where too little varies for V to be known, a cluster counts as one recording; the
interval is exact then, however alike the recordings of a cluster are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, t

from sottovoce.attack.attacker import Labels
from sottovoce.audit.results import Interval

Correct = NDArray[np.bool_]
Clusters = NDArray[np.int64]
Values = NDArray[np.float64]
LEVEL = 0.95
_FEWEST_CLUSTERS = 5  # with an error, and without one, from which V is known


@dataclass(frozen=True, eq=False)
class Sample:
    """Recordings [U] with their classes and clusters; every class weighs the same, as in balanced accuracy."""

    labels: Labels
    cluster: Clusters

    @cached_property
    def _class(self) -> tuple[Labels, NDArray[np.int64]]:
        """The class of each recording [U], and the recordings of each class [K]."""
        of = np.unique(self.labels, return_inverse=True)[1]
        return of, np.bincount(of)

    @cached_property
    def _member(self) -> Clusters:
        """The cluster of each recording [U]; a single cluster says nothing about others, so its recordings count."""
        names, member = np.unique(self.cluster, return_inverse=True)
        return member if len(names) > 1 else np.arange(len(self.cluster))

    @cached_property
    def _weights(self) -> Values:
        of, counts = self._class
        return 1.0 / (len(counts) * counts[of])

    def mean(self, values: Values | Correct) -> tuple[float, Values]:
        """The mean of `values` [U] over classes, and the same without each of the clusters [C]."""
        of, counts = self._class
        classes, clusters = len(counts), int(self._member.max()) + 1
        pair, place = np.unique(self._member * classes + of, return_inverse=True)  # a cluster and a class that it has
        owner, kind = np.divmod(pair, classes)
        sums, left = np.bincount(of, values), counts[kind] - np.bincount(place)
        means = sums / counts
        without = (sums[kind] - np.bincount(place, values)) / np.maximum(left, 1)
        total = means.sum() + np.bincount(owner, np.where(left > 0, without, 0.0) - means[kind], clusters)
        return float(means.mean()), total / np.maximum(1, classes - np.bincount(owner, left == 0, clusters))

    def quantile(self, level: float) -> float:
        """Student's t for the number of clusters; clusters of one class each vary only within their class."""
        of, counts = self._class
        clusters = int(self._member.max()) + 1
        pairs = len(np.unique(self._member * len(counts) + of))
        free = clusters - (len(counts) if pairs == clusters else 1)
        return float(t.ppf(0.5 + level / 2.0, max(1, free)))

    def part(self, among: Correct, hit: Values | Correct, level: float) -> Part:
        """The share of `hit` [U] among some recordings [U]."""
        size, sizes = self.mean(among)
        if not size:
            return Part(0.0, 0.0, 0.0, 0.0, 0.0)
        hits, without = self.mean(hit * among)
        share = min(1.0, hits / size)
        error = _error(share, np.divide(without, sizes, out=np.full(len(sizes), share), where=sizes > 1e-12))
        member, weights = self._member[among], self._weights[among]
        independent, clusters = _number(weights), _number(np.bincount(member, weights).astype(np.float64))
        quantile = self.quantile(level)
        with_hit, with_miss = (len(np.unique(member[hit[among] != value])) for value in (0, 1))
        if min(with_hit, with_miss) < min(_FEWEST_CLUSTERS, len(np.unique(member))) or not error or clusters < 1.5:
            number = clusters
        else:
            number = share * (1.0 - share) / error**2
            # Fewer clusters know V less well, as Student's t is further out than with so many recordings.
            number *= (t.ppf(0.5 + level / 2.0, max(1.0, independent - 1.0)) / quantile) ** 2
        low, high = exact(share, min(number, independent), level)
        return Part(size, share, low, high, quantile * error)


@dataclass(frozen=True)
class Part:
    """A share of some of the recordings, which are a part `size` of all, its interval, and half of a normal one."""

    size: float
    share: float
    low: float
    high: float
    half: float


def share(values: Values | Correct, labels: Labels, cluster: Clusters, level: float = LEVEL) -> Interval:
    """The mean of `values` [U], from 0 to 1, over classes of `labels` [U], with an interval by clusters [U]."""
    known = Sample(labels, cluster).part(np.ones(len(labels), np.bool_), values, level)
    return Interval(score=known.share, low=min(known.low, known.share), high=max(known.high, known.share))


def difference(first: Correct, second: Correct, labels: Labels, cluster: Clusters, level: float = LEVEL) -> Interval:
    """Balanced accuracy of `first` minus that of `second` on the same recordings [U], by their clusters [U].

    With t, how often `first` is right where `second` is wrong, which is in a part m of the recordings, and s, how often
    it is wrong where `second` is right, the difference is m t - (1 - m) s. Both have exact intervals, whose distances
    are added as squares (MOVER; Zou and Donner 2008, "Construction of confidence limits about effect measures"), and
    stretched where the jackknife of the difference itself shows that m, t and s vary together.
    """
    sample = Sample(labels, cluster)
    gained, lost = sample.part(~second, first, level), sample.part(second, ~first, level)
    score, without = sample.mean(first.astype(np.float64) - second)
    known = np.hypot(gained.size * gained.half, lost.size * lost.half)
    stretch = max(1.0, sample.quantile(level) * _error(score, without) / known) if known else 1.0
    up = np.hypot(gained.size * (gained.high - gained.share), lost.size * (lost.share - lost.low))
    down = np.hypot(gained.size * (gained.share - gained.low), lost.size * (lost.high - lost.share))
    low, high = max(-1.0, score - stretch * down), min(1.0, score + stretch * up)
    return Interval(score=score, low=float(low), high=float(high))


def exact(share: float, number: float, level: float = LEVEL) -> tuple[float, float]:
    """The ends of the interval of Clopper and Pearson for a share of recordings, whose number may be no integer."""
    hits, tail = share * number, (1.0 - level) / 2.0
    low = float(beta.ppf(tail, hits, number - hits + 1.0)) if hits > 1e-9 else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1.0, number - hits)) if number - hits > 1e-9 else 1.0
    return low, high


def _number(weights: Values) -> float:
    """How many equal ones are as much evidence as those with these weights (Kish 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def _error(score: float, without: Values) -> float:
    """Standard error of a score by the jackknife, from the scores without each of C clusters."""
    clusters = len(without)
    spread = np.sqrt((clusters - 1) / clusters * np.square(without - score).sum())
    return float(spread) if spread > 1e-12 else 0.0
