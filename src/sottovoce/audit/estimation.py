"""Attributes that are numbers: how well an attacker estimates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Labels
from sottovoce.attack.regression import ESTIMATORS, pitch
from sottovoce.audit import metrics
from sottovoce.audit.cached_jobs import JobResult
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.observations import View, identity
from sottovoce.audit.plan import Views
from sottovoce.audit.results import Continuous, ContinuousFacts, Interval, fields
from sottovoce.audit.scores import Scores

PITCH, SEMITONES = "pitch", "semitones above 55 Hz"

Values = dict[Part, NDArray[np.float64]]


def values(case: Case) -> dict[str, tuple[str, Values]]:
    """Numbers to be estimated, with their unit: labels that are numbers, and the pitch of every original."""
    numbers: dict[str, tuple[str, Values]] = {
        task: ("as labelled", {part: case.numbers(task, part) for part in PARTS}) for task in case.continuous()
    }
    if PITCH not in case.manifest.tasks:
        pitches = {part: np.array([pitch(case.sounds.wave(int(clip))) for clip in case.clips(part)]) for part in PARTS}
        numbers[PITCH] = (SEMITONES, pitches)
    return {task: number for task, number in numbers.items() if all(map(_vary, number[1].values()))}


def _vary(values: NDArray[np.float64]) -> bool:
    """Whether there is something to estimate."""
    known = values[np.isfinite(values)]
    return len(known) > 2 and bool((known != known[0]).any())


@dataclass(frozen=True, eq=False)
class Estimation:
    """One estimator, fitted and tested on one view; utterances without a value (NaN) are left out of its training.

    The result has its estimates "validation" [V] and "test" [U].
    """

    estimator: str
    task: str
    values: Values
    view: View

    @cached_property
    def digest(self) -> str:
        """What the outcome depends on."""
        numbers = {part: [str(v) for v in column] for part, column in self.values.items()}
        return identity("estimation", self.estimator, self.task, numbers, self.view.digest)

    @property
    def title(self) -> str:
        """The attribute and the estimator."""
        return f"{self.task}: {self.estimator}"

    cost = 2

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The folder of its view."""
        return (self.view.folder,)

    def run(self) -> JobResult:
        """Fit the estimator and let it estimate."""
        known = {part: np.flatnonzero(np.isfinite(self.values[part])) for part in ("train", "validation")}
        train, validation = (self.view.part(part).pick(known[part]) for part in ("train", "validation"))
        estimator = ESTIMATORS[self.estimator]().fit(
            train, self.values["train"][known["train"]], validation, self.values["validation"][known["validation"]]
        )
        return JobResult(
            {"attacker": estimator.name},
            {part: estimator.values(self.view.part(part)) for part in ("validation", "test")},
        )


@dataclass(frozen=True, eq=False)
class Number:
    """An attribute that is a number, and who estimates it: from originals and from what leaves."""

    unit: str
    values: Values
    originals: tuple[Estimation, ...]
    obfuscated: tuple[Estimation, ...]


def numbers(case: Case, views: Views) -> dict[str, Number]:
    """Every attribute that can be estimated."""
    return {
        task: Number(
            unit,
            known,
            tuple(Estimation(key, task, known, views.original) for key in ESTIMATORS),
            tuple(Estimation(key, task, known, views.leaving) for key in ESTIMATORS),
        )
        for task, (unit, known) in values(case).items()
    }


def gather(
    task: str,
    number: Number,
    results: Mapping[str, JobResult],
    answers: Mapping[Part, Labels] | None,
    cluster: NDArray[np.int64],
    scores: Scores,
) -> ContinuousFacts | None:
    """Add the estimates of one attribute to `scores`; None where all estimators of a side broke down.

    `answers` [U] are the combinations of what the targets answer to the originals of each part; `cluster` [U].
    """
    tried = {
        side: [results[job.digest] for job in jobs if not results[job.digest].error]
        for side, jobs in (("originals", number.originals), ("obfuscated", number.obfuscated))
    }
    if not all(tried.values()):
        return None
    scores |= {f"{task}/values/{part}": number.values[part] for part in PARTS}
    scores[f"{task}/cluster"] = cluster
    if answers is not None:
        scores[f"{task}/floor/test"] = by_answer(answers, number.values)
    for side, outcomes in tried.items():
        for i, outcome in enumerate(outcomes):
            scores |= {f"{task}/{side}/{i}/{part}": outcome.arrays[part] for part in ("validation", "test")}
    estimators = [outcome.facts["attacker"] for outcome in tried["obfuscated"]]
    return ContinuousFacts(unit=number.unit, estimators=estimators)


def summary(task: str, facts: ContinuousFacts, scores: Scores) -> Continuous:
    """The entry of one attribute."""
    true = {part: scores[f"{task}/values/{part}"] for part in PARTS}
    clear = np.isfinite(true["test"])
    cluster = scores.cluster(task)[clear]

    def explained(guess: NDArray[np.float64]) -> Interval:
        return metrics.r_squared(guess[clear], true["test"][clear], cluster)

    strongest, ceiling = (_best(f"{task}/{side}", scores, true["validation"]) for side in ("obfuscated", "originals"))
    guess = scores[f"{task}/obfuscated/{strongest}/test"]
    middle = np.full(len(clear), np.nanmedian(true["train"]))
    floor = explained(scores[f"{task}/floor/test"]).score if f"{task}/floor/test" in scores else 0.0
    return Continuous(
        **fields(facts, ContinuousFacts),
        estimator=facts.estimators[strongest],
        floor=max(0.0, floor),
        ceiling=explained(scores[f"{task}/originals/{ceiling}/test"]),
        strongest=explained(guess),
        error=metrics.mean_absolute_error(guess[clear], true["test"][clear]),
        constant_error=metrics.mean_absolute_error(middle[clear], true["test"][clear]),
    )


def by_answer(answers: Mapping[Part, Labels], values: Values) -> NDArray[np.float64]:
    """The floor [U]: the mean value behind each combination of permitted answers; the overall mean where it is new."""
    clear = np.isfinite(values["train"])
    given, column = answers["train"][clear], values["train"][clear]
    means = {int(answer): column[given == answer].mean() for answer in np.unique(given)}
    return np.array([means.get(int(answer), column.mean()) for answer in answers["test"]])


def _best(place: str, scores: Scores, true: NDArray[np.float64]) -> int:
    """The estimator with the least squared error on validation."""
    clear = np.isfinite(true)
    count = sum(name.startswith(f"{place}/") and name.endswith("/validation") for name in scores)
    errors = [np.square(scores[f"{place}/{i}/validation"] - true)[clear].mean() for i in range(count)]
    return int(np.argmin(errors))
