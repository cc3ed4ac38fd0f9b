"""Attackers through the permitted targets: what their output alone says about the private label."""

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
    """Maps the posteriors of all targets on what is heard, side by side, to the private label; the map is chosen."""

    name = "through the target"
    needs = "the target's output, and labelled recordings as the application receives them"

    def features(self, heard: Heard) -> Array:
        posteriors = [logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) for logits in _answers(heard)]
        return over_segments(np.maximum(np.concatenate(posteriors, axis=1), _LEAST_LOG), heard).astype(np.float32)

    def candidates(self, utterances: int) -> list[Any]:
        linear = [LogisticRegression(C=penalty, max_iter=500) for penalty in (0.1, 1.0, 10.0)]
        return linear + [KNeighborsClassifier(min(neighbours, utterances)) for neighbours in (15, 60)]


class FromAnswer:
    """The floor: knows only what the targets answer together, and guesses the commonest label behind that."""

    name = "the permitted answer alone"
    needs = "the target's answer"
    converged_ = True  # a table

    def fit(self, train: Heard, labels: Labels, validation: Heard, validation_labels: Labels, classes: int) -> Self:
        # One row for each combination that was heard, and the last one for all others: there can be very many.
        self.heard_, row = np.unique(said(train), return_inverse=True)
        table = np.zeros((len(self.heard_) + 1, classes))
        np.add.at(table, (row, labels), 1.0)
        table += np.bincount(labels, minlength=classes) / (len(labels) + 1.0)
        self.table_ = table / table.sum(axis=1, keepdims=True)
        self.curve_: list[tuple[int, float]] = []
        return self

    def scores(self, heard: Heard) -> Array:
        combination = said(heard)
        row = np.searchsorted(self.heard_, combination)
        known = np.isin(combination, self.heard_)
        probabilities = self.table_[np.where(known, row, len(self.heard_))]
        return log_posterior(probabilities, np.arange(self.table_.shape[1]), self.table_.shape[1])


def said(heard: Heard) -> Labels:
    """What the targets answer together to each utterance, [U]: the number of the combination of their voted classes.

    With one target that is the class itself.
    """
    number = np.zeros(len(heard), np.int64)
    for logits in _answers(heard):
        number = number * logits.shape[1] + vote(logits, heard.owner).argmax(axis=1)
    return number


def _answers(heard: Heard) -> list[Array]:
    """The logits of each target, always in the same order."""
    if not heard.answers:
        raise ConfigError("this attacker reads a target's output, and none was heard; give a target to answer first.")
    return [heard.answers[task] for task in sorted(heard.answers)]
