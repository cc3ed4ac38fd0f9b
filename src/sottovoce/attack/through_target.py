"""Attackers through the target: what its output alone says about the private label."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sottovoce.attack.attacker import Array, Heard, Labels
from sottovoce.attack.statistics import Chosen, log_posterior, over_segments
from sottovoce.errors import ConfigError
from sottovoce.models.target import vote

_LEAST_LOG = -12.0


class ThroughTarget(Chosen):
    """Maps the target's posterior on what is heard to the private label; the map is chosen."""

    name = "through the target"
    needs = "the target's output, and labelled recordings as the application receives them"

    def features(self, heard: Heard) -> Array:
        logits = _answers(heard)
        posterior = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return over_segments(np.maximum(posterior, _LEAST_LOG), heard).astype(np.float32)

    def candidates(self, utterances: int) -> list[Any]:
        linear = [LogisticRegression(C=penalty, max_iter=500) for penalty in (0.1, 1.0, 10.0)]
        return linear + [KNeighborsClassifier(min(neighbours, utterances)) for neighbours in (15, 60)]


class FromAnswer:
    """The floor: knows only the target's answer (the class of the vote), and guesses the commonest label behind it."""

    name = "the permitted answer alone"
    needs = "the target's answer"
    converged_ = True  # a table

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        said = _said(train)
        table = np.zeros((_answers(train).shape[1], classes))
        np.add.at(table, (said, labels), 1.0)
        table += np.bincount(labels, minlength=classes) / (len(labels) + 1.0)  # for answers never heard
        self.table_ = table / table.sum(axis=1, keepdims=True)
        self.curve_: list[tuple[int, float]] = []
        return self

    def scores(self, heard: Heard) -> Array:
        return log_posterior(self.table_[_said(heard)], np.arange(self.table_.shape[1]), self.table_.shape[1])


def _said(heard: Heard) -> Labels:
    """The target's answer to each utterance, [U]."""
    said: Labels = vote(_answers(heard), heard.owner).argmax(axis=1)
    return said


def _answers(heard: Heard) -> Array:
    if heard.answers is None:
        raise ConfigError("this attacker reads the target's output, and none was heard; give a target to answer first.")
    return heard.answers
