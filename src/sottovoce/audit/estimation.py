"""Attributes that are numbers: how well an attacker estimates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.attack.attacker import Labels
from sottovoce.attack.regression import ESTIMATORS, pitch
from sottovoce.audit import metrics
from sottovoce.audit.case import PARTS, Case, Part
from sottovoce.audit.evidence import Evidence
from sottovoce.audit.observations import View, identity
from sottovoce.audit.plan import Views
from sottovoce.audit.work import JobResult

PITCH, SEMITONES = "pitch", "semitones above 55 Hz"

Values = dict[Part, NDArray[np.float64]]


def values(case: Case) -> dict[str, tuple[str, Values]]:
    """Numbers to be estimated, with their unit: labels that are numbers, and the pitch of every original."""
    found: dict[str, tuple[str, Values]] = {
        task: ("as labelled", {part: np.array([float(v) for v in case.values(task, part)]) for part in PARTS})
        for task in case.continuous()
    }
    heard = {part: np.array([pitch(case.sounds.wave(int(clip))) for clip in case.clips(part)]) for part in PARTS}
    if PITCH not in case.manifest.tasks:
        found[PITCH] = (SEMITONES, heard)
    return {task: number for task, number in found.items() if all(map(_vary, number[1].values()))}


def _vary(values: NDArray[np.float64]) -> bool:
    """Whether there is something to estimate."""
    known = values[np.isfinite(values)]
    return len(known) > 2 and bool((known != known[0]).any())


@dataclass(frozen=True, eq=False)
class Estimation:
    """One estimator, fitted and tested on one hearing; utterances without a value (NaN) are left out of its training.

    Found are its estimates "validation" [V] and "test" [U].
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


def evidence(
    case: Case, task: str, number: Number, results: Mapping[str, JobResult], answers: Mapping[Part, Labels] | None
) -> Evidence:
    """The estimates of one attribute; those who break down are left out.

    `answers` [U] are the combinations of what the targets answer to the originals of each part.
    """
    arrays: dict[str, NDArray[Any]] = {f"{task}/values/{part}": number.values[part] for part in PARTS}
    arrays[f"{task}/cluster"] = case.cluster(task)[1]
    if answers is not None:
        arrays[f"{task}/floor/test"] = by_answer(answers, number.values)
    known: dict[str, list[str]] = {}
    for side, jobs in (("originals", number.originals), ("obfuscated", number.obfuscated)):
        found = [results[job.digest] for job in jobs if not results[job.digest].error]
        known[side] = [outcome.facts["attacker"] for outcome in found]
        for i, outcome in enumerate(found):
            arrays |= {f"{task}/{side}/{i}/{part}": outcome.arrays[part] for part in ("validation", "test")}
    if not all(known.values()):
        return Evidence()
    return Evidence({"continuous": {task: {"unit": number.unit, "estimators": known["obfuscated"]}}}, arrays)


def summary(task: str, known: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The entry of one attribute; `known` holds its unit and the names of the estimators.

    Arrays are TASK/values/PART, TASK/cluster, TASK/floor/test, TASK/SIDE/NUMBER/PART, SIDE originals or obfuscated.
    """
    true = {part: arrays[f"{task}/values/{part}"] for part in PARTS}
    clear = np.isfinite(true["test"])
    cluster = arrays[f"{task}/cluster"][clear]

    def explained(guess: NDArray[np.float64]) -> metrics.Interval:
        return metrics.r_squared(guess[clear], true["test"][clear], cluster)

    strongest, ceiling = (_best(f"{task}/{side}", arrays, true["validation"]) for side in ("obfuscated", "originals"))
    guess = arrays[f"{task}/obfuscated/{strongest}/test"]
    middle = np.full(len(clear), np.nanmedian(true["train"]))
    floor = explained(arrays[f"{task}/floor/test"]).score if f"{task}/floor/test" in arrays else 0.0
    return {
        "unit": known["unit"],
        "estimators": list(known["estimators"]),
        "estimator": known["estimators"][strongest],
        "floor": max(0.0, floor),
        "ceiling": explained(arrays[f"{task}/originals/{ceiling}/test"])._asdict(),
        "strongest": explained(guess)._asdict(),
        "error": metrics.mean_absolute_error(guess[clear], true["test"][clear]),
        "constant_error": metrics.mean_absolute_error(middle[clear], true["test"][clear]),
    }


def by_answer(answers: Mapping[Part, Labels], values: Values) -> NDArray[np.float64]:
    """The floor [U]: the mean value behind each combination of permitted answers; the overall mean where it is new."""
    clear = np.isfinite(values["train"])
    given, column = answers["train"][clear], values["train"][clear]
    means = {int(answer): column[given == answer].mean() for answer in np.unique(given)}
    return np.array([means.get(int(answer), column.mean()) for answer in answers["test"]])


def _best(place: str, arrays: Mapping[str, NDArray[Any]], true: NDArray[np.float64]) -> int:
    """The estimator with the least squared error on validation."""
    clear = np.isfinite(true)
    count = sum(name.startswith(f"{place}/") and name.endswith("/validation") for name in arrays)
    errors = [np.square(arrays[f"{place}/{i}/validation"] - true)[clear].mean() for i in range(count)]
    return int(np.argmin(errors))
