"""Intervals by resampling whole clusters, such as all utterances of a speaker."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, t

from sottovoce.audit.jackknife import LEVEL, Clusters, Values
from sottovoce.audit.results import Interval

_DRAWS = 2000


def ratio(top: Values, bottom: Values, cluster: Clusters, seed: int = 0) -> Interval:
    """Sum of `top` [U] over sum of `bottom` [U] >= 0, when clusters [U] are drawn with replacement.

    A single cluster says nothing about others; its utterances are drawn instead.
    """
    names, member = np.unique(cluster, return_inverse=True)
    if len(names) == 1:
        member = np.arange(len(top))
    tops, bottoms = np.bincount(member, top), np.bincount(member, bottom)
    clusters = len(tops)
    drawn = np.random.default_rng(seed).integers(clusters, size=(_DRAWS, clusters))
    above, below = tops[drawn].sum(axis=1), bottoms[drawn].sum(axis=1)
    score = float(top.sum() / bottom.sum())
    low, high = ends(above[below > 0.0] / below[below > 0.0], clusters)
    return Interval(score=score, low=min(low, score), high=max(high, score))


def ends(draws: Values, clusters: int) -> tuple[float, float]:
    """Low and high end of the interval of a statistic from its values when so many clusters were drawn anew."""
    tail = 0.0
    if clusters > 1:
        tail = norm.cdf(np.sqrt(clusters / (clusters - 1)) * t.ppf((1.0 - LEVEL) / 2.0, clusters - 1))
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)
