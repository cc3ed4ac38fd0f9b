"""How many bits about a label the scores of an attacker carry: a lower bound that holds by using them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from sottovoce.attack.attacker import Array, Labels
from sottovoce.audit.bootstrap import ratio
from sottovoce.audit.jackknife import Clusters
from sottovoce.audit.results import Interval
from sottovoce.errors import ConfigError


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
