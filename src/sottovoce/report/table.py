"""The headline of an audit as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sottovoce.report import impact_assessment
from sottovoce.report.findings import doubt, full_label, headline, loss


def table(results: Mapping[str, Any]) -> str:
    """One line per permitted task and private attribute, and what else there is to know, for people."""
    lines = [headline(results) + ".", *_permitted(results), *_private(results), *_others(results)]
    return "\n".join("".join(letter if letter.isprintable() else " " for letter in line) for line in lines)


def _permitted(results: Mapping[str, Any]) -> Iterator[str]:
    for task, scores in results["permitted"].items():
        before, after = scores["original"], scores["obfuscated"]
        lost = f": {loss(scores).upper()}" if loss(scores) else ""
        yield f"permitted: {task} is recognised in {_interval(after)} (without the filter {_interval(before)}){lost}"


def _private(results: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'private':12} {'chance':>7} {'floor':>7} {'ceiling':>8}   strongest attacker"
    for name, entry in results["private"].items():
        strongest = entry["strongest"]
        least = "" if strongest["converged"] else "at least "
        open_ = doubt(entry, results["tolerance"])
        yield (
            f"{name:12} {entry['chance']:7.1%} {entry['floor']['score']:7.1%} {entry['ceiling']['score']:8.1%}   "
            f"{least}{_interval(strongest)} by {full_label(strongest)}: "
            f"{entry['verdict'].upper()}{', BUT ' * bool(open_)}{open_}"
        )
    yield "floor: accuracy from the permitted answer alone; ceiling: strongest attacker without the filter"


def _others(results: Mapping[str, Any]) -> Iterator[str]:
    for name, number in results["continuous"].items():
        yield (
            f"{name}: {number['strongest']['score']:.2f} of its variance is explained by {number['estimator']} "
            f"(floor {number['floor']:.2f}, without the filter {number['ceiling']['score']:.2f}); "
            f"off by {number['error']:.4g} ({number['unit']}), "
            f"the best constant guess by {number['constant_error']:.4g}"
        )
    if results["linkage"]:
        strongest, ceiling = results["linkage"]["strongest"], results["linkage"]["ceiling"]
        yield (
            f"linking: equal error rate {_interval(strongest['eer'])} by {strongest['attacker']} "
            f"({strongest['knowledge']}) on {results['linkage']['speakers']} people that it was not trained on (chance "
            f"50%, without the filter {ceiling['eer']['score']:.1%})"
        )
    yield from impact_assessment.failures(results)
    yield from (f"note: {note}" for note in results["notes"])
    failed = [name for name, control in results["controls"].items() if not control["passed"]]
    if not results["valid"]:
        yield f"INVALID: the control failed: {', '.join(failed)}"


def _interval(score: Mapping[str, Any]) -> str:
    return f"{score['score']:.1%} ({score['low']:.1%} to {score['high']:.1%})"
