"""The scores of an audit, as scores.npz keeps them, and the best seed among those of an attacker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Array, Labels
from sottovoce.audit.case import Part
from sottovoce.audit.results import Facts


class Scores(dict[str, NDArray[Any]]):
    """Arrays by name.

    TASK/labels/PART [U], TASK/cluster [U], TASK/answers/SIDE [U], TASK/judges/NUMBER/SIDE [U],
    TASK/floor/test [U, K] (of a number [U]),
    TASK/values/PART [U], TASK/attackers/NUMBER/PART and TASK/originals/NUMBER/PART [R, U, K] with a row for each seed,
    linkage/SIDE/NUMBER/NAME [P], transcripts/NAME and transcripts/SIDE/NAME [n], controls/NAME [U], codes/PART [B] and
    codes/PART/owner [B], clips/test and speakers/test [U].
    """

    def labels(self, task: str, part: Part = "test") -> Labels:
        """Class numbers [U] of the utterances of a part."""
        return self[f"{task}/labels/{part}"]

    def cluster(self, task: str) -> NDArray[np.int64]:
        """What the intervals of a task are resampled by, [U]."""
        return self[f"{task}/cluster"]

    def attack(self, task: str, side: str, number: int) -> AttackScores:
        """The scores of one attacker of a task; `side` is attackers or originals."""
        validation, test = (self[f"{task}/{side}/{number}/{part}"] for part in ("validation", "test"))
        return AttackScores(validation, test, self.labels(task, "validation"), self.labels(task))


@dataclass(frozen=True)
class Evidence:
    """What an audit gathered: the facts and the scores that all of its numbers follow from."""

    facts: Facts
    scores: Scores


@dataclass(frozen=True, eq=False)
class AttackScores:
    """Log scores of one attacker with each of R seeds, [R, V, K] and [R, U, K], and the labels [V] and [U]."""

    validation: Array
    test: Array
    validation_labels: Labels
    labels: Labels

    @cached_property
    def best(self) -> int:
        """The seed that did best on validation."""
        return int(accuracies(self.validation, self.validation_labels).argmax())

    @property
    def rank(self) -> tuple[float, float]:
        """By which attackers are compared: validation; of several as good, test, so that it is never too mild."""
        on_validation = accuracies(self.validation, self.validation_labels)
        return float(on_validation[self.best]), float(accuracies(self.test, self.labels)[self.best])


def accuracies(scores: Array | Sequence[Array], labels: Labels) -> NDArray[np.float64]:
    """The share of right guesses of each seed [R], from scores [R, U, K]."""
    return np.asarray((np.asarray(scores).argmax(axis=2) == labels).mean(axis=1), np.float64)
