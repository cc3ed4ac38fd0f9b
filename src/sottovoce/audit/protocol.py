"""The audit: fresh attackers on originals and on what leaves a system, a floor, one verdict per attribute.

clips --system--> features, sound --attackers fitted on train--> scores on validation and test --summary--> results
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sottovoce.attack.through_target import said
from sottovoce.audit import bound, controls, estimation, evidence, gathering, linkage
from sottovoce.audit.budgets import effort
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.evidence import Evidence
from sottovoce.audit.plan import Hearings, Line, lines
from sottovoce.audit.system import System
from sottovoce.audit.work import Found, Job, done
from sottovoce.progress import Report


def audit(
    case: Case,
    system: System,
    attributes: Sequence[str],
    effort_name: str,
    seed: int,
    place: Path,
    workers: int,
    report: Report,
) -> tuple[Evidence, Hearings]:
    """Attack what leaves `system`, `workers` attackers side by side; what is heard is kept in `place` meanwhile."""
    tried = effort(effort_name)
    hearings = gathering.gather(case, system, tried, seed, place, workers, report)
    planned = {task: lines(case, task, hearings, tried, seed) for task in attributes}
    checks = controls.bouts(
        case, attributes, hearings, gathering.hear_idle(case, seed, place), tried.sensitivity_db, seed
    )
    numbers = estimation.numbers(case, hearings) if tried.continuous else {}
    linkers = linkage.lines(case, hearings, seed) if tried.linkage and linkage.possible(case) else []
    first: list[Job] = [bout for found in planned.values() for line in found for bout in line.seeds + line.shares]
    first += [*checks.values(), *(line.job for line in linkers)]
    first += [job for number in numbers.values() for job in number.originals + number.obfuscated]
    results = _done(first, {}, workers, report)
    planned = {task: _with_worst_curve(case, task, found, results, tried.shares) for task, found in planned.items()}
    results = _done(
        [bout for found in planned.values() for line in found for bout in line.shares], results, workers, report
    )

    gathered = evidence.common(case, hearings) | bound.evidence(case, system)
    gathered |= evidence.controlled(case, attributes, checks, results, tried.sensitivity_db, seed)
    for task, found in planned.items():
        gathered |= evidence.private(case, task, found, results, hearings)
    answers = {part: said(hearings.original.part(part)) for part in PARTS} if case.targets else None
    for task, number in numbers.items():
        gathered |= estimation.evidence(case, task, number, results, answers)
    if linkers:
        gathered |= linkage.evidence(linkers, results)
    return gathered, hearings


def _done(jobs: Sequence[Job], before: dict[str, Found], workers: int, report: Report) -> dict[str, Found]:
    """What came of each job, by digest, beside what came before; a job that stands in several lines is done once."""
    new = list({job.digest: job for job in jobs if job.digest not in before}.values())
    if not new:
        return before
    return before | dict(zip([job.digest for job in new], done(new, workers, report), strict=True))


def _with_worst_curve(
    case: Case, task: str, found: list[Line], results: dict[str, Found], shares: tuple[float, ...]
) -> list[Line]:
    """The lines, of which the worst has bouts with fewer recordings: would more of them help it?"""

    def right(line: Line) -> tuple[float, float]:
        """On validation and test, by which `summary` will choose the worst."""
        outcomes = [results[bout.digest] for bout in line.seeds]
        if line.side == "originals" or any(outcome.error for outcome in outcomes):
            return -1.0, -1.0
        validation, test = (
            [float((outcome.arrays[f"{line.read}/{part}"].argmax(axis=1) == labels).mean()) for outcome in outcomes]
            for part, labels in ((part, case.labels(task, part)) for part in ("validation", "test"))
        )
        best = int(np.argmax(validation))
        return validation[best], test[best]

    worst = max(range(len(found)), key=lambda i: right(found[i]))
    return [line.with_curve(shares) if i == worst and not line.shares else line for i, line in enumerate(found)]
