"""Attackers on the output of the permitted targets: what it alone says about the private label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from sottovoce.attack.attacker import Array, Attacker, Labels, Observations
from sottovoce.attack.classical import BestOfCandidates, log_posterior, over_segments
from sottovoce.attack.families import ATTACKERS
from sottovoce.errors import ConfigError
from sottovoce.models.vote import vote

_LEAST_LOG = -12.0
_NO_ANSWERS = "this attacker reads the output of a target, and there is none; give the audit a target."


@ATTACKERS.register("target")
class ThroughTarget(BestOfCandidates):
    """Maps the posteriors of all targets, side by side, to the private label; the map is chosen."""

    name = "through the target"
    needs_answers = True
    cost = 0
    needs = "the target's output, and labelled recordings as the application receives them"

    def features(self, observations: Observations) -> Array:
        posteriors = [logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) for logits in _answers(observations)]
        bounded = np.maximum(np.concatenate(posteriors, axis=1), _LEAST_LOG)
        return over_segments(bounded, observations).astype(np.float32)

    def candidates(self, utterances: int) -> list[Any]:
        linear = [LogisticRegression(C=penalty, max_iter=2000) for penalty in (0.1, 1.0, 10.0)]
        return linear + [KNeighborsClassifier(min(neighbours, utterances)) for neighbours in (15, 60)]


class FromAnswer(Attacker):
    """The floor: knows only what the targets answer, and guesses the commonest label behind that.

    Of several targets it looks at those together whose answers serve it best on validation: a table of too many
    combinations guesses worse than one of few.
    """

    name = "the permitted answer alone"
    needs = "the target's answer"
    needs_answers = True

    def fit(
        self, train: Observations, labels: Labels, validation: Observations, validation_labels: Labels, classes: int
    ) -> Self:
        if not train.answers:
            raise ConfigError(_NO_ANSWERS)
        tasks = sorted(train.answers)
        best = -1.0
        for chosen in chain.from_iterable(combinations(tasks, count) for count in range(1, len(tasks) + 1)):
            table = _Table(chosen, train, labels, classes)
            right = float((table.scores(validation).argmax(axis=1) == validation_labels).mean())
            if right > best:
                best, self.table_ = right, table
        return self

    def scores(self, observations: Observations) -> Array:
        return self.table_.scores(observations)


class _Table:
    """The shares of the labels behind each combination of answers, and, for one that training lacks, over all."""

    def __init__(self, tasks: Sequence[str], observations: Observations, labels: Labels, classes: int) -> None:
        self.tasks = tasks
        self.known, row = np.unique(joint_answer(observations, tasks), return_inverse=True)
        counts = np.zeros((len(self.known) + 1, classes))
        np.add.at(counts, (row, labels), 1.0)
        counts += np.bincount(labels, minlength=classes) / (len(labels) + 1.0)
        self.shares = counts / counts.sum(axis=1, keepdims=True)

    def scores(self, observations: Observations) -> Array:
        combination = joint_answer(observations, self.tasks)
        row = np.searchsorted(self.known, combination)
        known = np.isin(combination, self.known)
        classes = self.shares.shape[1]
        return log_posterior(self.shares[np.where(known, row, len(self.known))], np.arange(classes), classes)


def joint_answer(observations: Observations, tasks: Sequence[str] | None = None) -> Labels:
    """The number of the combination of classes that the targets of `tasks` (None: all) answer to each utterance, [U].

    With one target that is the class of its vote itself.
    """
    number = np.zeros(len(observations), np.int64)
    for logits in _answers(observations, tasks):
        number = number * logits.shape[1] + vote(logits, observations.owner).argmax(axis=1)
    return number


def _answers(observations: Observations, tasks: Sequence[str] | None = None) -> list[Array]:
    """The logits of each target, always in the same order."""
    if not observations.answers:
        raise ConfigError(_NO_ANSWERS)
    return [observations.answers[task] for task in (sorted(observations.answers) if tasks is None else tasks)]
