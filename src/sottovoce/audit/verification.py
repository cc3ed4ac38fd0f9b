"""How well scores tell pairs of recordings of one person ("same") from pairs of two ("other"); higher is more alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audit.bootstrap import ends
from sottovoce.audit.jackknife import Correct, Values
from sottovoce.audit.metrics import binomial
from sottovoce.audit.results import Interval
from sottovoce.errors import ConfigError

FALSE_ACCEPTS = 0.01  # the share of others taken for the same at which true positives are counted
_DRAWS = 500


def d_sys(same: Values, other: Values) -> float:
    """Global linkability D_sys, from 0 (one distribution) to 1 (apart), of scores [n] and [m].

    Gomez-Barrero et al. 2018, "General framework to evaluate unlinkability in biometric template protection systems",
    with prior ratio 1. Densities are histograms with min(n / 10, 100) common bins, as in the authors'
    code; being piecewise constant they are integrated exactly. Bins are unevenly filled by chance, so what is
    unlinkable scores above 0: about 0.05 at n = 100, 0.06 at 1,000 and 0.02 at 10,000 (normal scores, m = 20,000).
    """
    _check(same, other)
    both = np.concatenate([same, other])
    edges = np.histogram_bin_edges(both, max(1, min(len(same) // 10, 100)))
    p = np.histogram(same, edges)[0] / len(same)
    q = np.histogram(other, edges)[0] / len(other)
    filled = p > q  # a likelihood ratio p / q above 1; D = 2 LR / (1 + LR) - 1 = (p - q) / (p + q)
    return float((p[filled] * (p - q)[filled] / (p + q)[filled]).sum())


def intervals(
    scores: Values, same: Correct, first: NDArray[Any], second: NDArray[Any], seed: int = 0
) -> tuple[Interval, Interval]:
    """Equal error rate and true positive rate at 1 % false ones, of pairs [P] of speakers `first` and `second` [P].

    Both are read off the empirical ROC, its points joined by straight lines (not its convex hull); equal scores are one
    point, and at the equal error rate a threshold misses as many of the same as it takes of others.
    Speakers are drawn with replacement; a pair counts as often as its two speakers were drawn, multiplied, and a pair
    of one speaker as often as that one. Where the draws show no error, or nothing but errors, the exact binomial
    interval over the speakers who have pairs stands in. Raises ConfigError where pairs of one or of two are missing.
    """
    _check(scores[same], scores[~same])
    order = np.argsort(-scores, kind="stable")
    last = _last_of_ties(scores[order])
    names, member = np.unique(np.stack([first[order], second[order]]), return_inverse=True)
    a, b = member.reshape(2, -1)
    is_same, speakers = same[order], len(names)
    times = np.random.default_rng(seed).multinomial(speakers, np.full(speakers, 1.0 / speakers), size=_DRAWS)
    rates = []
    for weight in (np.ones(speakers, np.int64), *times):
        points = _points(np.where(is_same, weight[a], 0), np.where(is_same, 0, weight[a] * weight[b]), last)
        rates.append((_eer(*points), _tpr(*points, FALSE_ACCEPTS)))
    tested = len(np.unique(first[same]))
    errors, hits = np.array(rates).T
    return _interval(errors, speakers, tested), _interval(hits, speakers, tested)


def _interval(values: Values, speakers: int, tested: int) -> Interval:
    """From the value for all and those of the draws; a draw without pairs of one kind has none."""
    score, draws = float(values[0]), values[1:][np.isfinite(values[1:])]
    low, high = ends(draws, speakers)
    if low == high and score in (0.0, 1.0):
        return binomial(int(score) * tested, tested)
    return Interval(score=score, low=min(low, score), high=max(high, score))


def _check(same: Values, other: Values) -> None:
    if not len(same) or not len(other):
        raise ConfigError(
            f"got {len(same)} pairs of one speaker and {len(other)} of two; expected some of each: "
            "at least two speakers, and two recordings of one of them."
        )


def _last_of_ties(falling: Values) -> NDArray[np.int64]:
    """Positions of the last of each run of equal scores: a threshold takes all of them or none."""
    return np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)


def _points(same: NDArray[np.int64], other: NDArray[np.int64], last: NDArray[np.int64]) -> tuple[Values, Values]:
    """The ROC from (0, 0) to (1, 1): false and true positive rates, from the weights of pairs by falling score."""
    with np.errstate(invalid="ignore"):  # no weight on one side: no rate
        shares = [np.concatenate([[0], np.cumsum(w)[last]]) / w.sum() for w in (other, same)]
    return shares[0], shares[1]


def _eer(fpr: Values, tpr: Values) -> float:
    gap = fpr + tpr - 1.0  # false positives minus misses, rising from -1 to 1
    after = int(np.argmax(gap >= 0.0))
    part = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(fpr[after - 1] + part * (fpr[after] - fpr[after - 1]))


def _tpr(fpr: Values, tpr: Values, at: float) -> float:
    return float(np.interp(at, fpr, tpr))
