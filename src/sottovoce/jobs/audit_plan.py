"""The job behind `sottovoce audit --plan`: what an audit could show, without any attacker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from sottovoce.audit.power import ALIKE, reach
from sottovoce.audit.system import System, opened, undescribed
from sottovoce.audit.verdicts import TOLERANCE, level
from sottovoce.corpora import corpus
from sottovoce.jobs.audit import AuditConfig, case_of
from sottovoce.models.checkpoint import CARD
from sottovoce.progress import Report
from sottovoce.runtime import bundled


def plan_audit(config: AuditConfig, report: Report) -> dict[str, Any]:
    """For each attribute that the audit would attack: the leakage that its test recordings can rule out.

    Only a filter is opened, for the tasks that it permits and its split; no other system is run. Nothing is written.
    """
    manifest, sounds = corpus.opened(config.corpus, report)
    known = System(undescribed("", ""), None, None)
    if os.path.isfile(bundled.find(config.system) / CARD):
        known = opened(config.system, manifest, sounds, config.workers, report, config.permit, config.constant)
    case, _ = case_of(config, known, manifest, sounds)
    attributes = case.chosen(config.attributes)
    decisive = level(len(attributes))
    planned = {}
    for task in attributes:
        people = len({case.speakers("test")[i] for i in case.picked(task, "test")} - {""})
        found = reach(case.labels(task, "test"), people, case.cluster(task)[1], decisive)
        planned[task] = asdict(found) | {"resampled_by": case.cluster(task)[0], "hidden_possible": found.possible}
    return {
        "corpus": case.manifest.name,
        "split": case.split.rule,
        "level": decisive,
        "tolerance": TOLERANCE,
        "assumed_correlation": ALIKE,
        "attributes": planned,
        "notes": [*case.not_attacked(attributes), *case.left_out(attributes)],
    }


def table(plan: Mapping[str, Any]) -> str:
    """The same for people."""
    return "\n".join("".join(letter if letter.isprintable() else " " for letter in line) for line in _lines(plan))


def _lines(plan: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{'attribute':12} {'recordings':>10} {'people':>6} {'chance':>7} {'independent':>11} {'by people':>9} "
        f"{'constant':>8}  hidden possible"
    )
    for name, entry in plan["attributes"].items():
        points = [100 * entry[key] for key in ("independent", "by_people", "constant")]
        yield (
            f"{name:12} {entry['recordings']:10,} {entry['people'] or 'unknown':>6} {entry['chance']:7.1%} "
            f"{points[0]:11.1f} {points[1]:9.1f} {points[2]:8.1f}  {_possible(entry, plan['tolerance'])}"
        )
    yield (
        f"The three columns are percentage points: if nothing leaks, the {100 * plan['level']:.4g} % interval of the "
        "leakage ends so far above the floor, and no smaller leakage can be ruled out. Hidden needs "
        f"{100 * plan['tolerance']:g}."
    )
    yield (
        "independent: recordings have nothing in common; by people: right guesses about one person are correlated by "
        f"{plan['assumed_correlation']:g}; constant: attackers guess the same of every recording"
    )
    yield from (f"note: {note}" for note in plan["notes"])


def _possible(entry: Mapping[str, Any], tolerance: float) -> str:
    if entry["by_people"] <= tolerance:
        return "yes"
    if entry["hidden_possible"]:
        return "only if attackers learn next to nothing"
    return "no"
