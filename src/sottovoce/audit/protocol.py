"""The audit: fresh attackers on originals and on what leaves a system, a floor, one verdict per attribute.

clips --system--> features, sound --attackers fitted on train--> scores on validation and test --summary--> results
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sottovoce.attack.through_target import joint_answer
from sottovoce.audit import bound, controls, estimation, evidence, gathering, linkage
from sottovoce.audit.budgets import effort
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.evidence import Evidence
from sottovoce.audit.plan import Line, Views, lines
from sottovoce.audit.system import System
from sottovoce.audit.work import Job, JobResult, run_jobs
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
) -> tuple[Evidence, Views]:
    """Attack what leaves `system`, `workers` attackers side by side; what is heard is kept in `place` meanwhile."""
    tried = effort(effort_name)
    views = gathering.gather(case, system, tried, seed, place, workers, report)
    planned = {task: lines(case, task, views, tried, seed) for task in attributes}
    checks = controls.attack_runs(
        case, attributes, views, gathering.observe_idle(case, seed, place), tried.sensitivity_db, seed
    )
    numbers = estimation.numbers(case, views) if tried.continuous else {}
    linkers = linkage.lines(case, views, seed) if tried.linkage and linkage.possible(case) else []
    first: list[Job] = [
        attack_run for found in planned.values() for line in found for attack_run in line.seeds + line.shares
    ]
    first += [*checks.values(), *(line.job for line in linkers)]
    first += [job for number in numbers.values() for job in number.originals + number.obfuscated]
    results = _done(first, {}, workers, report)
    planned = {task: _with_strongest_curve(case, task, found, results, tried.shares) for task, found in planned.items()}
    results = _done(
        [attack_run for found in planned.values() for line in found for attack_run in line.shares],
        results,
        workers,
        report,
    )

    gathered = evidence.common(case, views) | bound.evidence(case, system)
    gathered |= evidence.controlled(case, attributes, checks, results, tried.sensitivity_db, seed)
    for task, found in planned.items():
        gathered |= evidence.private(case, task, found, results, views)
    answers = {part: joint_answer(views.original.part(part)) for part in PARTS} if case.targets else None
    for task, number in numbers.items():
        gathered |= estimation.evidence(case, task, number, results, answers)
    if linkers:
        gathered |= linkage.evidence(linkers, results)
    return gathered, views


def _done(jobs: Sequence[Job], before: dict[str, JobResult], workers: int, report: Report) -> dict[str, JobResult]:
    """What came of each job, by digest, beside what came before; a job that stands in several lines is done once."""
    new = list({job.digest: job for job in jobs if job.digest not in before}.values())
    if not new:
        return before
    return before | dict(zip([job.digest for job in new], run_jobs(new, workers, report), strict=True))


def _with_strongest_curve(
    case: Case, task: str, found: list[Line], results: dict[str, JobResult], shares: tuple[float, ...]
) -> list[Line]:
    """The lines, of which the strongest has bouts with fewer recordings: would more of them help it?"""

    def right(line: Line) -> tuple[float, float]:
        """On validation and test, by which `summary` will choose the strongest."""
        outcomes = [results[attack_run.digest] for attack_run in line.seeds]
        if line.side == "originals" or any(outcome.error for outcome in outcomes):
            return -1.0, -1.0
        validation, test = (
            [float((outcome.arrays[f"{line.read}/{part}"].argmax(axis=1) == labels).mean()) for outcome in outcomes]
            for part, labels in ((part, case.labels(task, part)) for part in ("validation", "test"))
        )
        best = int(np.argmax(validation))
        return validation[best], test[best]

    strongest = max(range(len(found)), key=lambda i: right(found[i]))
    return [line.with_curve(shares) if i == strongest and not line.shares else line for i, line in enumerate(found)]
