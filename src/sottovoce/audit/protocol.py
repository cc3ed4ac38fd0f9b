"""The audit: fresh attackers on originals and on what leaves a filter, a floor, one verdict per attribute.

clips --filter that ships--> obfuscated segments --attackers fitted on train--> chosen on validation, scored on test
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce import __version__
from sottovoce.attack import network
from sottovoce.attack.attacker import Attacker, Heard, Knowledge, Labels
from sottovoce.attack.restore import Restorer, RestoreThenRead
from sottovoce.attack.statistics import LinearOnStatistics
from sottovoce.attack.through_target import FromAnswer, ThroughTarget
from sottovoce.audit import controls, metrics
from sottovoce.audit.case import Case, Listen, Sides, hear
from sottovoce.errors import ConfigError
from sottovoce.models.target import vote
from sottovoce.progress import Report

TOLERANCE = 0.02  # a leakage whose interval reaches down to this may be called hidden
_PLAIN = 0.10  # a leakage above this is called a leak however wide its interval: too little evidence is no comfort


@dataclass(frozen=True)
class Effort:
    """How hard an audit tries: which networks, for how many cycles, and how long a restorer is trained."""

    cnn_cycles: int
    deepspeech2_cycles: int
    restorer_steps: int


EFFORTS = {"quick": Effort(2, 0, 150), "standard": Effort(3, 2, 300), "thorough": Effort(4, 4, 1000)}


class Audit:
    """Attackers fitted on originals once, then any number of filters audited against them."""

    def __init__(self, case: Case, attributes: Sequence[str], effort: str, seed: int, listen: Listen) -> None:
        self.case = case
        self.attributes = list(attributes)
        if effort not in EFFORTS:
            raise ConfigError(f"unknown attackers '{effort}'; known: {', '.join(EFFORTS)}.")
        self.effort = EFFORTS[effort]
        self.effort_name = effort
        self.seed = seed
        self.originals = hear(case, listen, seed)
        self.on_originals: dict[str, list[tuple[Attacker, dict[str, Any]]]] = {}

    def steps(self) -> int:
        """How many attackers the next run fits, for its progress."""
        return (2 * len(self.attributes) - len(self.on_originals)) * len(self._families()) + len(self.attributes)

    def run(self, listen: Listen, report: Report) -> dict[str, Any]:
        """Audit what `listen` lets through; the fields of results.json that depend on the filter's output."""
        began = time.monotonic()
        obfuscated = hear(self.case, listen, self.seed)
        restorer = Restorer(self.effort.restorer_steps, self.seed)
        restorer.fit(obfuscated.train.spectra, self.originals.train.spectra)
        self.restorer = restorer
        done, steps = 0, self.steps()

        def tell(note: str) -> None:
            nonlocal done
            done += 1
            report(done, steps, note)

        private = {task: self._attribute(task, obfuscated, restorer, tell) for task in self.attributes}
        checked = controls.run(self.case, self.originals, obfuscated, self.attributes, self.seed)
        return {
            "schema": 1,
            "sottovoce": __version__,
            "valid": all(control["passed"] for control in checked.values()),
            "controls": checked,
            "seconds": time.monotonic() - began,
            "attackers": self.effort_name,
            "seed": self.seed,
            "tolerance": TOLERANCE,
            "permitted": {self.case.target.task: self._permitted(obfuscated.test)},
            "private": private,
        }

    def _families(self) -> list[Attacker]:
        """Fresh attackers, unfitted."""
        found: list[Attacker] = [ThroughTarget(self.case.target), LinearOnStatistics()]
        found.append(network.cnn(self.effort.cnn_cycles, self.seed))
        if self.effort.deepspeech2_cycles:
            found.append(network.deepspeech2(self.effort.deepspeech2_cycles, self.seed))
        return found

    def _permitted(self, obfuscated: Heard) -> dict[str, Any]:
        """The target's accuracy before and after."""
        target = self.case.target
        labels = self.case.labels(target.task, self.case.split.test)
        _, cluster = self.case.cluster(target.task)

        def score(heard: Heard) -> dict[str, float]:
            answers = vote(target.predict(heard.spectra), heard.owner).argmax(axis=1)
            return metrics.accuracy(answers == labels, cluster)._asdict()

        return {
            "original": score(self.originals.test),
            "obfuscated": score(obfuscated),
            "chance": metrics.chance(labels),
        }

    def _attribute(
        self, task: str, obfuscated: Sides, restorer: Restorer, tell: Callable[[str], None]
    ) -> dict[str, Any]:
        """Every attacker on one private attribute; the worst is chosen on validation."""
        test = self.case.labels(task, self.case.split.test)
        name, cluster = self.case.cluster(task)
        floor = self._fit(FromAnswer(self.case.target), task, self.originals)
        floor_correct = floor.scores(self.originals.test).argmax(axis=1) == test
        constant = test == np.bincount(test).argmax()
        if constant.mean() > floor_correct.mean():  # who knows the answer may still ignore it
            floor_correct = constant
        readers = self._originals(task, cluster, test, tell)
        rows, right = [], []

        def score(attacker: Attacker, knowledge: Knowledge, seconds: float) -> None:
            row, correct = self._score(attacker, knowledge, task, obfuscated, cluster, test)
            rows.append({**row, "seconds": seconds})
            right.append(correct)

        for attacker, _ in readers:
            score(attacker, "ignorant", 0.0)
        for attacker in self._families():
            began = time.monotonic()
            score(self._fit(attacker, task, obfuscated), "informed", time.monotonic() - began)
            tell(f"{task}: {attacker.name}, informed: {rows[-1]['score']:.0%}")
        for attacker, _ in readers:
            if attacker.name != ThroughTarget.name:
                score(self._fit(RestoreThenRead(restorer, attacker), task, obfuscated), "informed", 0.0)
        worst = max(range(len(rows)), key=lambda i: (rows[i]["validation"], rows[i]["score"]))
        ceiling = max((row for _, row in readers), key=lambda row: float(row["validation"]))
        leakage = metrics.difference(right[worst], floor_correct, cluster)
        chance = metrics.chance(test)
        floor_interval = metrics.accuracy(floor_correct, cluster)
        tell(f"{task}: floor {floor_interval.score:.0%}")
        return {
            "classes": len(self.case.manifest.classes(task)),
            "chance": chance,
            "floor": {**floor_interval._asdict(), "attacker": floor.name},
            "ceiling": ceiling,
            "leakage": leakage._asdict(),
            "verdict": verdict(leakage, floor_interval.score, chance, ceiling["score"]),
            "cluster": name,
            "worst": rows[worst],
            "attackers": rows,
            "originals": [row for _, row in readers],
        }

    def _originals(
        self, task: str, cluster: NDArray[np.int64], test: Labels, tell: Callable[[str], None]
    ) -> list[tuple[Attacker, dict[str, Any]]]:
        """Attackers fitted and scored on originals: the ceiling, and the ignorant attackers. Fitted once."""
        if task not in self.on_originals:
            fitted = []
            for attacker in self._families():
                began = time.monotonic()
                self._fit(attacker, task, self.originals)
                row, _ = self._score(attacker, "ignorant", task, self.originals, cluster, test)
                fitted.append((attacker, {**row, "seconds": time.monotonic() - began}))
                tell(f"{task}: {attacker.name}, on originals: {row['score']:.0%}")
            self.on_originals[task] = fitted
        return self.on_originals[task]

    def _fit(self, attacker: Attacker, task: str, sides: Sides) -> Attacker:
        train = self.case.labels(task, self.case.split.train)
        validation = self.case.labels(task, self.case.split.validation)
        return attacker.fit(sides.train, train, sides.validation, validation, len(self.case.manifest.classes(task)))

    def _score(
        self,
        attacker: Attacker,
        knowledge: Knowledge,
        task: str,
        sides: Sides,
        cluster: NDArray[np.int64],
        test: Labels,
    ) -> tuple[dict[str, Any], NDArray[np.bool_]]:
        correct = attacker.scores(sides.test).argmax(axis=1) == test
        validation = self.case.labels(task, self.case.split.validation)
        on_validation = attacker.scores(sides.validation).argmax(axis=1) == validation
        row = {
            **metrics.accuracy(correct, cluster)._asdict(),
            "attacker": attacker.name,
            "knowledge": knowledge,
            "needs": attacker.needs,
            "converged": attacker.converged_,
            "validation": float(on_validation.mean()),
        }
        return row, correct


def verdict(leakage: metrics.Interval, floor: float, chance: float, ceiling: float) -> str:
    """ "leaks", "implied" (nothing beyond the permitted answer, which itself says much) or "hidden"."""
    if leakage.low > TOLERANCE or leakage.score > _PLAIN:
        return "leaks"
    return "implied" if floor - chance > 0.5 * (ceiling - chance) else "hidden"
