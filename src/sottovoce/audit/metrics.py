"""Numbers with intervals: what attackers get right, resampled by cluster.

The interval is the expanded percentile bootstrap (Hesterberg 2015, "What teachers should know about the bootstrap",
section 4.2): plain percentiles of few clusters are too narrow, as a normal interval without Student's t would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest, norm, t

from sottovoce.attack.attacker import Array, Labels
from sottovoce.audit.results import Interval
from sottovoce.errors import ConfigError

Correct = NDArray[np.bool_]
Clusters = NDArray[np.int64]
Values = NDArray[np.float64]
LEVEL = 0.95
_DRAWS = 2000
_GROUPINGS = 20  # ways to deal a person's utterances into sets; any one of them is noise


def accuracy(correct: Correct | Values, cluster: Clusters, seed: int = 0) -> Interval:
    """Share of right guesses among utterances [U], right or wrong or right so often, resampled by their clusters [U].

    Where resampling shows no spread (all right or all wrong), the exact binomial interval over utterances stands in.
    """
    share = ratio(correct.astype(np.float64), np.ones(len(correct)), cluster, seed)
    if share.low < share.high:
        return share
    exact = binomial(round(float(correct.sum())), len(correct))
    return Interval(score=share.score, low=exact.low, high=exact.high)


def difference(first: Correct, second: Correct, cluster: Clusters, seed: int = 0) -> Interval:
    """Accuracy of `first` minus that of `second` on the same utterances [U], resampled together by cluster [U]."""
    return ratio(first.astype(np.float64) - second, np.ones(len(first)), cluster, seed)


def chance(labels: Labels) -> float:
    """Accuracy of the best constant guess on these labels [U]."""
    return float(np.bincount(labels).max() / len(labels))


def confusion(guesses: Labels, labels: Labels, classes: int) -> NDArray[np.int64]:
    """How many utterances of a class (row) are guessed to be of one (column), [K, K], from guesses and labels [U]."""
    return np.bincount(labels * classes + guesses, minlength=classes**2).reshape(classes, classes)


def people(correct: Correct, speakers: NDArray[np.str_]) -> list[tuple[str, int, Interval]]:
    """Each speaker [U], their number of utterances and the share guessed right [U], the most exposed first.

    The intervals are exact (Clopper and Pearson 1934), with the utterances of a person as independent.
    """
    names, member = np.unique(speakers, return_inverse=True)
    clips, right = np.bincount(member), np.bincount(member[correct], minlength=len(names))
    shares = [(str(name), int(n), binomial(int(k), int(n))) for name, n, k in zip(names, clips, right, strict=True)]
    return sorted(shares, key=lambda person: (-person[2].score, -person[1], person[0]))


def pooled(
    scores: Array, labels: Labels, speakers: NDArray[np.str_], cluster: Clusters, utterances: int, seed: int = 0
) -> Interval | None:
    """Accuracy when the log probabilities `scores` [U, K] of several utterances of a speaker [U] are added up.

    The utterances of every speaker and label [U] are dealt at random into sets of `utterances`; what fills no set is
    left out, and where none is filled there is None. The score is the mean over several ways to deal. Resampled are the
    clusters [U], by their means; or, where clusters are smaller than people, the sets of each way to deal, and then the
    ends averaged: those are too far apart by a third or so, as the mean varies less than any one way to deal.
    """
    logs, rng = log_softmax(scores.astype(np.float64), axis=1), np.random.default_rng(seed)
    group = np.unique(speakers, return_inverse=True)[1] * scores.shape[1] + labels
    whole = [own for own in (np.flatnonzero(group == name) for name in np.unique(group)) if len(own) >= utterances]
    if not whole:
        return None
    correct = []
    for _ in range(_GROUPINGS):
        filled = [rng.permutation(own)[: len(own) // utterances * utterances] for own in whole]
        sets = np.concatenate(filled).reshape(-1, utterances)
        correct.append(logs[sets].sum(axis=1).argmax(axis=1) == labels[sets[:, 0]])
    if all((cluster[own] == cluster[own[0]]).all() for own in whole):
        return accuracy(np.mean(correct, axis=0), cluster[sets[:, 0]], seed)
    each = [accuracy(right, np.arange(len(sets)), seed) for right in correct]
    return Interval(
        score=float(np.mean([one.score for one in each])),
        low=float(np.mean([one.low for one in each])),
        high=float(np.mean([one.high for one in each])),
    )


def r_squared(predicted: Values, true: Values, cluster: Clusters, seed: int = 0) -> Interval:
    """Share of the variance of `true` [U] explained by `predicted` [U], resampled by cluster [U].

    The baseline is the mean of `true` over these very utterances, which no estimator knows: below 0 it would do better
    to say the same always. Raises ConfigError where `true` does not vary.
    """
    spread = (true - true.mean()) ** 2
    if not spread.any():
        raise ConfigError(f"all {len(true)} recordings have the value {true[0]:g}; R² needs at least two values.")
    unexplained = ratio((true - predicted) ** 2, spread, cluster, seed)
    return Interval(score=1.0 - unexplained.score, low=1.0 - unexplained.high, high=1.0 - unexplained.low)


def mean_absolute_error(predicted: Values, true: Values) -> float:
    """Mean distance of `predicted` [U] from `true` [U], in their unit."""
    return float(np.abs(predicted - true).mean())


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


def binomial(hits: int, trials: int) -> Interval:
    """Share of hits with the exact interval of Clopper and Pearson."""
    exact = binomtest(hits, trials).proportion_ci(LEVEL)
    return Interval(score=hits / trials, low=float(exact.low), high=float(exact.high))


Transcripts = Sequence[Sequence[int]]


def word_errors(recognised: Sequence[int], spoken: Sequence[int]) -> int:
    """Fewest words to insert, delete or replace that make `spoken` of `recognised` (Levenshtein 1966)."""
    before = list(range(len(spoken) + 1))
    for i, word in enumerate(recognised, start=1):
        row = [i]
        for j, true in enumerate(spoken, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (word != true)))
        before = row
    return before[-1]


def word_error_rate(recognised: Transcripts, spoken: Transcripts, seed: int = 0) -> Interval:
    """Word errors per spoken word over utterances [U], with a 95 % interval resampled by utterance."""
    return added_error_rate(spoken, recognised, spoken, seed)


def added_error_rate(before: Transcripts, after: Transcripts, spoken: Transcripts, seed: int = 0) -> Interval:
    """Word error rate of `after` minus that of `before` on the same utterances [U], resampled together."""
    errors = [
        word_errors(new, true) - word_errors(old, true) for old, new, true in zip(before, after, spoken, strict=True)
    ]
    words = np.array([len(true) for true in spoken], np.float64)
    return ratio(np.array(errors, np.float64), words, np.arange(len(words)), seed)


def entropy(weights: NDArray[Any]) -> float:
    """Entropy in bits of the distribution that is proportional to `weights`."""
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


_TEMPERATURES = np.geomspace(1 / 16, 64, 21)
_DOUBTS = 16  # values of the share of the prior in the mixture


def bits(
    scores: Array, labels: Labels, validation_scores: Array, validation_labels: Labels, cluster: Clusters, seed: int = 0
) -> Interval:
    """Lower bound on the mutual information of label and recording, in bits per recording, resampled by cluster [U].

    For any guess q of the distribution of the label, I >= H(label) + E[log2 q(label | sound)] (Barber and Agakov 2003,
    "The IM algorithm"). Here q mixes softmax(scores / T) with the class frequencies; T, the share of the mixture and
    the frequencies come from validation scores [V, K] and labels [V], so q has not seen the labels [U] of `scores`
    [U, K], and on average the bound never exceeds the truth. H is that of the labels [U]; it is not drawn anew, but
    each recording's score is counted above the log frequency of its own label, which to first order is the same.

    All are clipped at 0: where there is nothing to find, chance alone can then only be seen as a small number above 0.
    """
    classes = scores.shape[1]
    if not len(validation_labels):
        raise ConfigError("got no validation recordings; the bound on information is fitted on some.")
    prior = (np.bincount(validation_labels, minlength=classes) + 1.0) / (len(validation_labels) + classes)
    temperature, doubt = _fit(validation_scores, validation_labels, prior)
    mixed = _mixture(_posterior(scores, labels, temperature), prior[labels], doubt)
    frequency = np.bincount(labels, minlength=classes) / len(labels)
    gain = ratio(np.log2(mixed) - np.log2(frequency[labels]), np.ones(len(labels)), cluster, seed)
    return Interval(score=max(0.0, gain.score), low=max(0.0, gain.low), high=max(0.0, gain.high))


def _fit(scores: Array, labels: Labels, prior: NDArray[np.float64]) -> tuple[float, float]:
    """Temperature and share of the prior that make the labels likeliest; no surer than so many recordings can show."""
    doubts = np.geomspace(1.0 / (len(labels) + 1), 1.0, _DOUBTS)
    best, chosen = -np.inf, (1.0, 1.0)
    for temperature in _TEMPERATURES:
        posterior = _posterior(scores, labels, temperature)
        for doubt in doubts:
            likelihood = float(np.log2(_mixture(posterior, prior[labels], doubt)).mean())
            if likelihood > best:
                best, chosen = likelihood, (float(temperature), float(doubt))
    return chosen


def _posterior(scores: Array, labels: Labels, temperature: float) -> NDArray[np.float64]:
    """What softmax(scores / T) says of the label that is true, [U]."""
    probabilities: NDArray[np.float64] = softmax(scores.astype(np.float64) / temperature, axis=1)
    return probabilities[np.arange(len(labels)), labels]


def _mixture(posterior: NDArray[np.float64], prior: NDArray[np.float64], doubt: float) -> NDArray[np.float64]:
    return (1.0 - doubt) * posterior + doubt * prior
