"""The audit: fresh attackers on originals and on what leaves a system, a floor, one verdict per attribute.

clips --system--> features, sound --attackers fitted on train--> scores on validation and test --summary--> results
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sottovoce.attack.through_target import joint_answer
from sottovoce.audit import bound, controls, estimation, evidence, exposed, gathering, judges, linkage, words
from sottovoce.audit.budgets import Effort, effort
from sottovoce.audit.cached_jobs import Job, JobResult, run_jobs
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.file_views import Planted
from sottovoce.audit.plan import AttackRun, Line, Views, lines
from sottovoce.audit.results import Facts
from sottovoce.audit.scores import Evidence
from sottovoce.audit.system import System
from sottovoce.models.speaker_encoder import one_thread
from sottovoce.parallel import Shard
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
    only: Sequence[str] = (),
) -> tuple[Evidence, Views]:
    """Attack what leaves `system`, `workers` attackers side by side; observations are kept in `place` meanwhile.

    Of the attackers of the effort all are tried, or those of `only`.
    """
    tried, system = effort(effort_name, only), system.remembering(place)
    permitted, recognised = judges.gather(case, system, report)
    plan = _plan(case, system, attributes, tried, seed, place, workers, report)
    results = _run(plan.jobs, {}, workers, report)
    views, planned = plan.views, plan.lines
    planned = {task: _with_strongest_curve(case, task, each, results, tried.shares) for task, each in planned.items()}
    shares = [run for each in planned.values() for line in each for run in line.shares]
    results = _run(shares, results, workers, report)

    scores = evidence.common(case, views)
    scores |= recognised
    if system.sound is not None:
        scores |= exposed.gather(case, attributes, system.sound, seed, workers)
    evidence.add_controls(case, plan.control, plan.checks, results, seed, scores)
    evidence.add_leaks(plan.planted, plan.leaks, results, scores)
    answers = {part: joint_answer(views.original.part(part)) for part in PARTS} if case.targets else None
    private = {task: evidence.add_private(case, task, each, results, views, scores) for task, each in planned.items()}
    continuous = {
        task: estimation.gather(task, number, results, answers, case.cluster(task)[1], scores)
        for task, number in plan.numbers.items()
    }
    facts = Facts(
        control=plan.control,
        levels_db=list(tried.sensitivity_db),
        permitted=permitted,
        private=private,
        continuous={task: known for task, known in continuous.items() if known},
        linkage=linkage.gather(plan.linkers, results, scores) if plan.linkers else None,
        words=words.gather(plan.said, results, scores),
        bound=bound.gather(case, system.channel, scores) if system.channel else None,
    )
    return Evidence(facts, scores), views


def run_shard(
    case: Case,
    system: System,
    attributes: Sequence[str],
    effort_name: str,
    seed: int,
    place: Path,
    workers: int,
    report: Report,
    only: Sequence[str],
    shard: Shard,
) -> list[JobResult]:
    """Run the jobs of the same audit that belong to a shard; returns their results, which the cache keeps."""
    tried, system = effort(effort_name, only), system.remembering(place)
    plan = _plan(case, system, attributes, tried, seed, place, workers, report)
    return run_jobs(_distinct(plan.jobs), workers, report, shard=shard)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What attackers observe in an audit, and all that is known before the first of them runs."""

    views: Views
    lines: dict[str, list[Line]]  # of each attribute
    control: str
    checks: dict[str, AttackRun]
    planted: dict[str, Planted]
    leaks: dict[str, list[AttackRun]]
    numbers: dict[str, estimation.Number]
    linkers: list[linkage.LinkLine]
    said: words.Plan

    @property
    def jobs(self) -> list[Job]:
        """All jobs; a job may be there several times."""
        jobs: list[Job] = [run for each in self.lines.values() for line in each for run in line.seeds + line.shares]
        jobs += [*self.checks.values(), *(run for runs in self.leaks.values() for run in runs)]
        jobs += [line.job for line in self.linkers]
        jobs += [job for jobs in self.said.jobs.values() for job in jobs]
        return jobs + [job for number in self.numbers.values() for job in number.originals + number.obfuscated]


def _plan(
    case: Case,
    system: System,
    attributes: Sequence[str],
    tried: Effort,
    seed: int,
    place: Path,
    workers: int,
    report: Report,
) -> _Plan:
    with one_thread():  # so that every machine observes the same to the last digit
        views = gathering.gather(case, system, tried, seed, place, workers, report)
        idle = gathering.observe_idle(case, seed, place)
        planted = gathering.observe_leaks(case, system, seed, place, workers) if tried.on_properties else {}
    control = controls.attribute(case, attributes)
    return _Plan(
        views,
        {task: lines(case, task, views, tried, seed) for task in attributes},
        control,
        controls.attack_runs(case, control, views, idle, tried.sensitivity_db, seed),
        planted,
        {name: controls.reading(each, seed) for name, each in planted.items()},
        estimation.numbers(case, views) if tried.continuous else {},
        linkage.lines(case, views, seed) if tried.linkage and linkage.possible(case) else [],
        words.plan(case, views, tried.words, seed),
    )


def _run(jobs: Sequence[Job], before: dict[str, JobResult], workers: int, report: Report) -> dict[str, JobResult]:
    """What came of each job, by digest, beside what came before; a job that stands in several lines is done once."""
    new = [job for job in _distinct(jobs) if job.digest not in before]
    if not new:
        return before
    return before | dict(zip([job.digest for job in new], run_jobs(new, workers, report), strict=True))


def _distinct(jobs: Sequence[Job]) -> list[Job]:
    return list({job.digest: job for job in jobs}.values())


def _with_strongest_curve(
    case: Case, task: str, planned: list[Line], results: dict[str, JobResult], shares: tuple[float, ...]
) -> list[Line]:
    """The lines, of which the strongest is attacked with fewer recordings as well: would more of them help it?"""
    if not planned:
        return planned
    labels = {part: case.labels(task, part) for part in PARTS}

    def rank(line: Line) -> tuple[float, float]:
        if line.side == "originals" or line.error(results):
            return -1.0, -1.0
        return line.scores(results, labels).rank

    strongest = max(range(len(planned)), key=lambda i: rank(planned[i]))
    return [line.with_curve(shares) if i == strongest and not line.shares else line for i, line in enumerate(planned)]
