"""Attackers on what a spectrum is like on the whole: mean, deviation and mean absolute step of each bin."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from itertools import islice
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sottovoce.attack.attacker import Array, Attacker, Labels, Observations
from sottovoce.attack.families import ATTACKERS

LEAST = 1e-6  # no attacker calls anything less probable than this

_ROUNDING = 1e-5  # of the power, far above that of single precision
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # inverse strengths
_COMPONENTS = 64  # that trees are grown on: they are slow on many features and need few


class BestOfCandidates(Attacker):
    """The best on validation of a few models of scikit-learn on one vector of each utterance, by default statistics."""

    def features(self, observations: Observations) -> Array:
        """The vector of each utterance, [U, D]."""
        return statistics(observations)

    @abstractmethod
    def candidates(self, utterances: int) -> list[Any]:
        """Unfitted models to choose from, when so many utterances are there to learn from."""

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        features, held_out = self.features(train), self.features(validation)
        self.model_ = best(self.candidates(len(train)), features, labels, held_out, validation_labels)
        self.converged_ = settled(self.model_)
        self.classes_ = classes
        return self

    def scores(self, observations: Observations) -> Array:
        probabilities = self.model_.predict_proba(self.features(observations))
        return log_posterior(probabilities, self.model_.classes_, self.classes_)


@ATTACKERS.register("linear")
class LinearOnStatistics(BestOfCandidates):
    """Logistic regression, its penalty chosen."""

    name = "linear on statistics"
    cost = 3

    def candidates(self, utterances: int) -> list[Any]:
        return logistic(_PENALTIES)


@ATTACKERS.register("nearest")
class NearestNeighbour(BestOfCandidates):
    """The labels of the nearest utterances, weighted by how near they are; metric and number chosen."""

    name = "nearest neighbour"
    cost = 2

    def candidates(self, utterances: int) -> list[Any]:
        return [
            make_pipeline(StandardScaler(), KNeighborsClassifier(min(k, utterances), weights="distance", metric=metric))
            for metric in ("cosine", "euclidean")
            for k in (1, 5, 15)
        ]


@ATTACKERS.register("svm")
class KernelMachine(BestOfCandidates):
    """A support vector machine with a Gaussian kernel, its width and penalty chosen; margins stand for log odds."""

    name = "kernel SVM on statistics"
    cost = 4

    def candidates(self, utterances: int) -> list[Any]:
        return [
            make_pipeline(StandardScaler(), SVC(C=penalty, gamma=gamma))
            for penalty in (1.0, 10.0)
            for gamma in ("scale", 1e-3)
        ]

    def scores(self, observations: Observations) -> Array:
        margin = self.model_.decision_function(self.features(observations))
        odds = np.stack([-margin, margin], axis=1) if margin.ndim == 1 else margin
        return log_posterior(softmax(odds, axis=1), self.model_.classes_, self.classes_)


@ATTACKERS.register("trees")
class TreesOnStatistics(Attacker):
    """Boosted trees on principal components of the statistics; how many is chosen."""

    name = "trees on statistics"
    cost = 6

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        features = statistics(train)
        self.components_ = principal_components(features)
        self.trees_ = HistGradientBoostingClassifier(max_leaf_nodes=8, min_samples_leaf=10, early_stopping=False)
        self.trees_.fit(self.components_.transform(features), labels)
        staged = self.trees_.staged_predict(self.components_.transform(statistics(validation)))
        self.curve_ = [(i, float((guess == validation_labels).mean())) for i, guess in enumerate(staged, start=1)]
        self.rounds_ = max(self.curve_, key=lambda point: point[1])[0]
        early = max(score for _, score in self.curve_[: 3 * len(self.curve_) // 4])
        gain = self.curve_[self.rounds_ - 1][1] - early  # of the last quarter
        self.converged_ = gain <= standard_error(early, len(validation))
        self.classes_ = classes
        return self

    def scores(self, observations: Observations) -> Array:
        staged = self.trees_.staged_predict_proba(self.components_.transform(statistics(observations)))
        return log_posterior(next(islice(staged, self.rounds_ - 1, None)), self.trees_.classes_, self.classes_)


@ATTACKERS.register("outline")
class OutlineOnly(BestOfCandidates):
    """Neighbours, a Gaussian for each class, or small boosted trees on the outline."""

    name = "duration and level"
    cost = 1
    needs = "how long and how loud, not what"

    def features(self, observations: Observations) -> Array:
        return observations.outline

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        self.alike_ = not np.ptp(train.outline, axis=0).any()
        return super().fit(train, labels, validation, validation_labels, classes)

    def candidates(self, utterances: int) -> list[Any]:
        if self.alike_:  # nothing shows, and a Gaussian without a width is no number
            return [DummyClassifier()]
        neighbours = [KNeighborsClassifier(min(k, utterances)) for k in (5, 15, 45)]
        trees = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=4, early_stopping=False)
        return [make_pipeline(StandardScaler(), model) for model in (GaussianNB(), *neighbours, trees)]


def statistics(observations: Observations) -> Array:
    """Mean, deviation and, where there are frames to step between, mean absolute step of each bin, [U, 3 F or 2 F]."""
    spectra = observations.spectra
    mean = over_segments(spectra.mean(axis=2), observations)
    power = over_segments((spectra**2).mean(axis=2), observations)
    variance = np.where(power - mean**2 > _ROUNDING * power, power - mean**2, 0.0)  # else it is rounding, not a feature
    parts = [mean, np.sqrt(variance)]
    if spectra.shape[2] > 1:
        parts.append(over_segments(np.abs(np.diff(spectra, axis=2)).mean(axis=2), observations))
    return np.concatenate(parts, axis=1).astype(np.float32)


def over_segments(values: NDArray[Any], observations: Observations) -> NDArray[Any]:
    """The mean [U, D] over each utterance's segments of values [S, D]."""
    total: NDArray[Any] = np.add.reduceat(values, observations.first[:-1])
    return total / np.diff(observations.first)[:, None]


def principal_components(features: Array) -> Any:
    """Standardises, then turns to at most 64 principal components; fitted on features [U, D]."""
    return make_pipeline(StandardScaler(), PCA(min(_COMPONENTS, *features.shape), svd_solver="full")).fit(features)


def logistic(penalties: Sequence[float]) -> list[Any]:
    """Logistic regressions on standardised features, one for each inverse penalty."""
    return [make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=500)) for penalty in penalties]


def best(candidates: list[Any], features: Array, labels: Any, held_out: Array, held_out_labels: Any) -> Any:
    """The fitted candidate with the best score (accuracy, or R^2 of a regression) on what was held out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `settled` tells of the one that is chosen
        fitted = [model.fit(features, labels) for model in candidates]
    return fitted[int(np.argmax([model.score(held_out, held_out_labels) for model in fitted]))]


def settled(model: Any) -> bool:
    """Whether a fitted model was solved: all are but a logistic regression that met its limit of iterations."""
    last = model[-1] if isinstance(model, Pipeline) else model
    return not isinstance(last, LogisticRegression) or bool((last.n_iter_ < last.max_iter).all())


def log_posterior(probabilities: NDArray[Any], known: Labels, classes: int) -> Array:
    """Log probabilities [U, classes] from the probabilities [U, K] of the classes `known` [K]."""
    posterior = np.full((len(probabilities), classes), LEAST, np.float32)
    posterior[:, known] = np.maximum(probabilities, LEAST)
    return np.log(posterior)


def standard_error(accuracy: float, utterances: int) -> float:
    """Standard error of an accuracy (0..1) on so many utterances; never nothing, even where all or none is right."""
    return math.sqrt(max(accuracy * (1.0 - accuracy), 1e-3) / utterances)
