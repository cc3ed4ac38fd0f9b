"""The headline of an audit as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sottovoce.report import impact_assessment
from sottovoce.report.findings import conclusion, estimated, full_label, headline, linked
from sottovoce.report.speech import said
from sottovoce.report.transfer import recognisers, reservation


def table(results: Mapping[str, Any]) -> str:
    """The headline, then a line for each permitted task, private attribute, failure and note, for people."""
    return "\n".join("".join(letter if letter.isprintable() else " " for letter in line) for line in _lines(results))


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    yield f"{headline(results)}."
    for task, scores in results["permitted"].items():
        for recogniser, kind, given, before, after in recognisers(scores):
            who = f"{recogniser} ({kind})" if kind else recogniser
            yield (
                f"permitted: {task} is recognised in {_interval(after)} by {who}, from {given} "
                f"(without the filter {_interval(before)})"
            )
        if against := reservation(task, results):
            yield f"permitted, BUT {task} {against.upper()}"
    yield f"{'private':12} {'chance':>7} {'floor':>7} {'ceiling':>8}   strongest attacker"
    for name, entry in results["private"].items():
        strongest = entry["strongest"]
        yield (
            f"{name:12} {entry['chance']:7.1%} {entry['floor']['score']:7.1%} {entry['ceiling']['score']:8.1%}   "
            f"{'' if strongest['converged'] else 'at least '}{_interval(strongest)} by {full_label(strongest)}: "
            f"{_loud(conclusion(entry, results['tolerance']))}"
        )
    yield (
        "all accuracies are balanced (the mean over classes); floor: from the permitted answer alone; ceiling: the "
        "strongest attacker without the filter"
    )
    yield from (f"{name}: {estimated(name, number)}" for name, number in results["continuous"].items())
    if results["linkage"]:
        yield f"linking: {linked(results['linkage'])}"
    if results.get("words"):
        yield f"words: {said(results['words'])}"
    yield from impact_assessment.failures(results)
    yield from (f"note: {note}" for note in results["notes"])
    failed = [name for name, control in results["controls"].items() if not control["passed"]]
    if not results["valid"]:
        yield f"INVALID: the control failed: {', '.join(failed)}"


def _loud(conclusion: str) -> str:
    """A verdict in capitals, and what stands behind it as it is."""
    return re.sub(r"^[a-z ]+(, but)?", lambda verdict: verdict[0].upper(), conclusion)


def _interval(score: Mapping[str, Any]) -> str:
    return f"{score['score']:.1%} ({score['low']:.1%} to {score['high']:.1%})"
