"""An attacker: it guesses the class whose mean is nearest."""

from __future__ import annotations

from typing import Self

import numpy as np

from sottovoce.attack.attacker import Array, Attacker, Labels, Observations


class NearestMean(Attacker):
    """Compares the mean spectrum of an utterance with that of each class, in standard deviations."""

    name = "nearest class mean"
    knowledge = ("informed", "uninformed")  # tried on what leaves the filter, fitted on that and on originals
    cost = 1

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        features = _mean_spectra(train)
        self.scale_ = features.std(axis=0) + 1e-6
        self.means_ = np.full((classes, features.shape[1]), np.inf, np.float32)  # a class that is not there is far away
        for label in np.unique(labels):
            self.means_[label] = features[labels == label].mean(axis=0)
        return self

    def scores(self, observations: Observations) -> Array:
        difference = (_mean_spectra(observations)[:, None] - self.means_) / self.scale_
        return -0.5 * np.minimum(np.square(difference).mean(axis=2), 100.0)


def _mean_spectra(observations: Observations) -> Array:
    """The mean [U, F] of the segments [S, F, N] of each utterance."""
    means = observations.spectra.mean(axis=2)
    total = np.add.reduceat(means, observations.first[:-1])
    return (total / np.diff(observations.first)[:, None]).astype(np.float32)
