"""Attackers through the permitted targets: what their output alone says about the private label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sottovoce.attack.attacker import Array, Labels, Observations
from sottovoce.attack.classical import BestOfCandidates, log_posterior, over_segments
from sottovoce.errors import ConfigError
from sottovoce.models.target import vote

_LEAST_LOG = -12.0
_NO_ANSWERS = "this attacker reads a target's output, and none was heard; give a target to answer first."


class ThroughTarget(BestOfCandidates):
    """Maps the posteriors of all targets on what is heard, side by side, to the private label; the map is chosen."""

    name = "through the target"
    needs = "the target's output, and labelled recordings as the application receives them"

    def features(self, heard: Observations) -> Array:
        posteriors = [logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) for logits in _answers(heard)]
        return over_segments(np.maximum(np.concatenate(posteriors, axis=1), _LEAST_LOG), heard).astype(np.float32)

    def candidates(self, utterances: int) -> list[Any]:
        linear = [LogisticRegression(C=penalty, max_iter=2000) for penalty in (0.1, 1.0, 10.0)]
        return linear + [KNeighborsClassifier(min(neighbours, utterances)) for neighbours in (15, 60)]


class FromAnswer:
    """The floor: knows only what the targets answer, and guesses the commonest label behind that.

    Of several targets it looks at those together whose answers serve it best on validation: a table of too many
    combinations guesses worse than one of few.
    """

    name = "the permitted answer alone"
    needs = "the target's answer"
    converged_ = True  # a table

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        if not train.answers:
            raise ConfigError(_NO_ANSWERS)
        tasks = sorted(train.answers)
        self.curve_: list[tuple[int, float]] = []
        best = -1.0
        for chosen in chain.from_iterable(combinations(tasks, count) for count in range(1, len(tasks) + 1)):
            table = _Table(chosen, train, labels, classes)
            right = float((table.scores(validation).argmax(axis=1) == validation_labels).mean())
            if right > best:
                best, self.table_ = right, table
        return self

    def scores(self, heard: Observations) -> Array:
        return self.table_.scores(heard)


class _Table:
    """The shares of the labels behind each combination of answers, and, for one never heard, over all."""

    def __init__(self, tasks: Sequence[str], heard: Observations, labels: Labels, classes: int) -> None:
        self.tasks = tasks
        self.heard, row = np.unique(said(heard, tasks), return_inverse=True)
        counts = np.zeros((len(self.heard) + 1, classes))
        np.add.at(counts, (row, labels), 1.0)
        counts += np.bincount(labels, minlength=classes) / (len(labels) + 1.0)
        self.shares = counts / counts.sum(axis=1, keepdims=True)

    def scores(self, heard: Observations) -> Array:
        combination = said(heard, self.tasks)
        row = np.searchsorted(self.heard, combination)
        known = np.isin(combination, self.heard)
        classes = self.shares.shape[1]
        return log_posterior(self.shares[np.where(known, row, len(self.heard))], np.arange(classes), classes)


def said(heard: Observations, tasks: Sequence[str] | None = None) -> Labels:
    """What the targets of `tasks` (None: all) answer together to each utterance, [U]: the number of that combination.

    With one target that is the class of its vote itself.
    """
    number = np.zeros(len(heard), np.int64)
    for logits in _answers(heard, tasks):
        number = number * logits.shape[1] + vote(logits, heard.owner).argmax(axis=1)
    return number


def _answers(heard: Observations, tasks: Sequence[str] | None = None) -> list[Array]:
    """The logits of each target, always in the same order."""
    if not heard.answers:
        raise ConfigError(_NO_ANSWERS)
    return [heard.answers[task] for task in (sorted(heard.answers) if tasks is None else tasks)]
