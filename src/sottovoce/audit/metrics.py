"""Numbers with intervals: what attackers get right, by cluster.

Accuracies and their differences have the intervals of `jackknife`. R² and word error rates have the expanded percentile
bootstrap (Hesterberg 2015, "What teachers should know about the bootstrap", section 4.2): plain percentiles of few
clusters are too narrow, as a normal interval without Student's t would be.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from sottovoce.attack.attacker import Array, Labels
from sottovoce.audit import jackknife
from sottovoce.audit.bootstrap import ratio
from sottovoce.audit.jackknife import LEVEL, Clusters, Correct, Values
from sottovoce.audit.results import Interval
from sottovoce.errors import ConfigError

_GROUPINGS = 20  # ways to deal a person's utterances into sets; any one of them is noise


def accuracy(correct: Correct | Values, cluster: Clusters) -> Interval:
    """Share of right guesses among utterances [U], right or wrong or right so often, by their clusters [U]."""
    return jackknife.share(correct, np.zeros(len(correct), np.int64), cluster)


def balanced_accuracy(correct: Correct | Values, labels: Labels, cluster: Clusters, level: float = LEVEL) -> Interval:
    """The mean over classes of the share of right guesses [U] among the utterances of a class, by clusters [U]."""
    return jackknife.share(correct, labels, cluster, level)


def difference(first: Correct, second: Correct, labels: Labels, cluster: Clusters, level: float = LEVEL) -> Interval:
    """Balanced accuracy of `first` minus that of `second` on the same utterances [U], by cluster [U]."""
    return jackknife.difference(first, second, labels, cluster, level)


def chance(labels: Labels) -> float:
    """The share of the commonest class among labels [U]."""
    return float(np.bincount(labels).max() / len(labels))


def binomial(hits: int, trials: int) -> Interval:
    """Share of hits with the exact interval of Clopper and Pearson."""
    low, high = jackknife.exact(hits / trials, trials)
    return Interval(score=hits / trials, low=low, high=high)


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
    """Balanced accuracy when the log probabilities `scores` [U, K] of utterances of a speaker [U] are added up.

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
        return balanced_accuracy(np.mean(correct, axis=0), labels[sets[:, 0]], cluster[sets[:, 0]])
    each = [balanced_accuracy(right, labels[sets[:, 0]], np.arange(len(sets))) for right in correct]
    score, low, high = np.mean([(one.score, one.low, one.high) for one in each], axis=0).tolist()
    return Interval(score=score, low=low, high=high)


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
