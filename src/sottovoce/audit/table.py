"""The headline of an audit as text."""

from __future__ import annotations

from typing import Any


def table(results: dict[str, Any]) -> str:
    """One line per permitted task and private attribute, for people."""
    lines = []
    for task, scores in results["permitted"].items():
        before, after = scores["original"], scores["obfuscated"]
        lines.append(f"permitted: {task} is recognised in {_interval(after)} (without the filter {_interval(before)})")
    lines.append(f"{'private':12} {'chance':>7} {'floor':>7} {'ceiling':>8}   worst attacker")
    for name, entry in results["private"].items():
        worst = entry["worst"]
        least = "" if worst["converged"] else "at least "
        lines.append(
            f"{name:12} {entry['chance']:7.1%} {entry['floor']['score']:7.1%} {entry['ceiling']['score']:8.1%}   "
            f"{least}{_interval(worst)} by {worst['attacker']} ({worst['knowledge']}): {entry['verdict'].upper()}"
        )
    failed = [name for name, control in results["controls"].items() if not control["passed"]]
    if failed:
        lines.append(f"INVALID: the control failed: {', '.join(failed)}")
    lines.append("floor: what the permitted answer itself gives away; ceiling: the best attacker without the filter")
    return "\n".join(lines)


def _interval(score: dict[str, float]) -> str:
    return f"{score['score']:.1%} ({score['low']:.1%} to {score['high']:.1%})"
