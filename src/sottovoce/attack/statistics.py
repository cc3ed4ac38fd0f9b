"""A linear attacker on what an utterance's spectrum is like on the whole."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sottovoce.attack.attacker import Array, Heard, Labels

_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)  # inverse strengths, chosen on validation


class LinearOnStatistics:
    """Logistic regression on mean, deviation and mean absolute step of each bin over an utterance."""

    name = "linear on statistics"
    needs = "labelled recordings as the application receives them"

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        features, held_out = _statistics(train), _statistics(validation)
        fitted = [_fit(features, labels, penalty) for penalty in _PENALTIES]
        self.validation_ = [float(model.score(held_out, validation_labels)) for model in fitted]
        self.model_ = fitted[int(np.argmax(self.validation_))]
        self.classes_ = classes
        self.converged_ = True  # a convex problem, solved
        return self

    def scores(self, heard: Heard) -> Array:
        known = self.model_.predict_proba(_statistics(heard))
        scores = np.zeros((len(heard), self.classes_), np.float32)
        scores[:, self.model_.classes_] = known
        return scores


def _fit(features: Array, labels: Labels, penalty: float) -> Pipeline:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=500))
    return model.fit(features, labels)


def _statistics(heard: Heard) -> Array:
    """Mean, deviation and mean absolute step in time of each bin, [U, 483]."""
    spectra, first = heard.spectra, heard.first[:-1]
    segments = np.diff(heard.first)[:, None]
    mean = np.add.reduceat(spectra.mean(axis=2), first) / segments
    power = np.add.reduceat((spectra**2).mean(axis=2), first) / segments
    step = np.add.reduceat(np.abs(np.diff(spectra, axis=2)).mean(axis=2), first) / segments
    return np.concatenate([mean, np.sqrt(np.maximum(power - mean**2, 0.0)), step], axis=1)
