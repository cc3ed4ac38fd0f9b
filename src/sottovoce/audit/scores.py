"""The scores of an audit, as scores.npz keeps them, and the best seed among those of an attacker."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Array, Labels
from sottovoce.audit.case import PARTS, Part
from sottovoce.audit.results import Facts


class Scores(dict[str, NDArray[Any]]):
    """Arrays by name.

    TASK/labels/PART [U], TASK/cluster [U], TASK/answers/SIDE [U], TASK/judges/NUMBER/SIDE [U],
    TASK/floor/PART [U, K] of validation and test (of a number: of test, [U]),
    TASK/values/PART [U], TASK/attackers/NUMBER/PART and TASK/originals/NUMBER/PART [R, U, K] with a row for each seed,
    linkage/SIDE/NUMBER/NAME [P], transcripts/NAME and transcripts/SIDE/NAME [n], controls/NAME [U], planted/KIND/NAME
    [n], resemblance/NAME [n] and TASK/resemblance [U], codes/PART [B] and codes/PART/owner [B], clips/test and
    speakers/test [U]; TASK/speakers/test where not all utterances have the label, so that those of the task are fewer.
    """

    def labels(self, task: str, part: Part = "test") -> Labels:
        """Class numbers [U] of the utterances of a part."""
        return self[f"{task}/labels/{part}"]

    def cluster(self, task: str) -> NDArray[np.int64]:
        """What the intervals of a task are resampled by, [U]."""
        return self[f"{task}/cluster"]

    def attack(self, task: str, side: str, number: int) -> AttackScores:
        """The scores of one attacker of a task; `side` is attackers or originals."""
        return self._scored(task, f"{side}/{number}")

    def floor(self, task: str) -> AttackScores | None:
        """The scores of a guess from the permitted answer alone; None where nobody answered."""
        return self._scored(task, "floor") if f"{task}/floor/test" in self else None

    def _scored(self, task: str, place: str) -> AttackScores:
        validation, test = (self[f"{task}/{place}/{part}"] for part in ("validation", "test"))
        if validation.ndim == 2:  # without seeds
            validation, test = validation[None], test[None]
        labels = {part: self.labels(task, part) for part in PARTS}
        return AttackScores(validation, test, labels["validation"], labels["test"], labels["train"])


@dataclass(frozen=True)
class Evidence:
    """What an audit gathered: the facts and the scores that all of its numbers follow from."""

    facts: Facts
    scores: Scores


@dataclass(frozen=True, eq=False)
class AttackScores:
    """Log scores of one attacker with each of R seeds, [R, V, K] and [R, U, K], and the labels [V], [U] and [T]."""

    validation: Array
    test: Array
    validation_labels: Labels
    labels: Labels
    train_labels: Labels

    @cached_property
    def prior(self) -> NDArray[np.float64]:
        """What is taken from the scores of each class [K]: how frequent it was in training, or nothing.

        An attacker that learnt from unequal classes prefers the frequent ones, which costs it balanced accuracy. Who
        attacks takes the log frequency off again; it is done where that helps on validation.
        """
        frequent = np.log(np.maximum(1, np.bincount(self.train_labels, minlength=self.validation.shape[2])))
        as_they_are = accuracies(self.validation, self.validation_labels).max()
        corrected = accuracies(self.validation - frequent, self.validation_labels).max()
        return np.asarray(frequent * float(corrected > as_they_are))

    @cached_property
    def on_validation(self) -> NDArray[np.float64]:
        """Balanced accuracy on validation of each seed, [R]."""
        return accuracies(self.validation - self.prior, self.validation_labels)

    @cached_property
    def on_test(self) -> NDArray[np.float64]:
        """Balanced accuracy on test of each seed, [R]."""
        return accuracies(self.test - self.prior, self.labels)

    @cached_property
    def best(self) -> int:
        """The seed that did best on validation."""
        return int(self.on_validation.argmax())

    @property
    def chosen(self) -> Array:
        """The scores on test by which that seed guesses, [U, K]."""
        return np.asarray(self.test[self.best] - self.prior, np.float32)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether that seed is right about each test recording, [U]."""
        return np.asarray(self.chosen.argmax(axis=1) == self.labels)

    @property
    def rank(self) -> tuple[float, float]:
        """By which attackers are compared: validation; of several as good, test, so that it is never too mild."""
        return float(self.on_validation[self.best]), float(self.on_test[self.best])


def accuracies(scores: NDArray[Any], labels: Labels) -> NDArray[np.float64]:
    """The balanced accuracy of each seed [R], from scores [R, U, K]: the mean share of right guesses over classes."""
    right = scores.argmax(axis=2) == labels
    of, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    return np.asarray((right / counts[of]).sum(axis=1) / len(counts), np.float64)
