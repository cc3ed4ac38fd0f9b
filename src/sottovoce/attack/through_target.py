"""Attackers through the target: what its output alone says about the private label."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sottovoce.attack.attacker import Array, Heard, Labels
from sottovoce.models.target import Target, vote


class ThroughTarget:
    """Maps the target's posterior on what is heard to the private label; the map is chosen on validation."""

    name = "through the target"
    needs = "the target's output, and labelled recordings as the application receives them"

    def __init__(self, target: Target) -> None:
        self.target = target

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        features, held_out = self._posteriors(train), self._posteriors(validation)
        candidates = [LogisticRegression(C=penalty, max_iter=500) for penalty in (0.1, 1.0, 10.0)]
        candidates += [KNeighborsClassifier(min(neighbours, len(labels))) for neighbours in (15, 60)]
        fitted = [model.fit(features, labels) for model in candidates]
        self.validation_ = [float(model.score(held_out, validation_labels)) for model in fitted]
        self.model_ = fitted[int(np.argmax(self.validation_))]
        self.classes_ = classes
        self.converged_ = True  # solved exactly, or not trained at all
        return self

    def scores(self, heard: Heard) -> Array:
        scores = np.zeros((len(heard), self.classes_), np.float32)
        scores[:, self.model_.classes_] = self.model_.predict_proba(self._posteriors(heard))
        return scores

    def _posteriors(self, heard: Heard) -> Array:
        """Mean log posterior of an utterance's segments, [U, K of the target]."""
        logits = self.target.predict(heard.spectra)
        log_posterior = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        total = np.add.reduceat(np.maximum(log_posterior, -12.0), heard.first[:-1])
        return (total / np.diff(heard.first)[:, None]).astype(np.float32)


class FromAnswer:
    """The floor: knows only the target's answer (the class of the vote), and guesses the commonest label behind it."""

    name = "the permitted answer alone"
    needs = "the target's answer"
    converged_ = True  # a table

    def __init__(self, target: Target) -> None:
        self.target = target

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        table = np.zeros((len(self.target.classes), classes), np.float32)
        np.add.at(table, (self._answers(train), labels), 1.0)
        self.table_ = table + np.bincount(labels, minlength=classes) / (len(labels) + 1.0)  # for answers never heard
        return self

    def scores(self, heard: Heard) -> Array:
        return self.table_[self._answers(heard)].astype(np.float32)

    def _answers(self, heard: Heard) -> Labels:
        answers: Labels = vote(self.target.predict(heard.spectra), heard.owner).argmax(axis=1)
        return answers
