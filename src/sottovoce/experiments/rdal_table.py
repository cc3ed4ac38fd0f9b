"""The table of `experiment rdal`: both checkpoints of each method, beside the authors' own runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from sottovoce.experiments.experiment import Cells, Result, Table, grouped, mean, means, percent
from sottovoce.experiments.rdal_drawing import METHODS, strongest

# Event (all, without, with speech), in-loop, retrained: accuracy, AUC; gender; steps: means of the authors' ten runs.
PAPER: Mapping[str, tuple[float, float, float, float | None, float, float, float, int]] = {
    "no-privacy": (75.3, 76.6, 74.0, None, 76.5, 0.847, 63.6, 4554),
    "reversal": (75.0, 76.1, 73.8, 50.8, 73.9, 0.825, 58.9, 27060),
    "compact": (75.1, 76.8, 73.3, 52.4, 62.7, 0.679, 59.6, 172920),
    "masked": (76.7, 77.2, 76.3, 50.3, 51.8, 0.528, 51.0, 129360),
}
RULES = {"hidden": "the original's rule", "balanced": "events count"}


def checkpoint(result: Result, rule: str) -> dict[str, Any]:
    """A result with the numbers of the checkpoint that a rule kept; where both kept one, those stand once."""
    balanced = result.get("balanced", {}) if rule == "balanced" else {}
    return {**result, **balanced, "rule": rule}


def lines(results: Sequence[Result]) -> Iterator[list[Result] | Cells]:
    """For each method a line for each rule that it has, and below them the paper's figures."""
    alone = {each["seed"]: each["event"]["all"]["score"] for each in results if each["method"] == "no-privacy"}
    groups = grouped(results, lambda result: result["method"])
    for method in [*(name for name in METHODS if name in groups), *sorted(groups.keys() - METHODS.keys())]:
        ruled = any("balanced" in run for run in groups[method])
        for rule in RULES if ruled else ("hidden",):
            runs = [{**checkpoint(run, rule), "ruled": ruled} for run in groups[method]]
            yield [{**run, "alone": alone.get(run["seed"])} for run in runs]
        if method in PAPER:
            yield _paper(method)


def _paper(method: str) -> Cells:
    event, quiet, spoken, loop, right, area, gender, steps = PAPER[method]
    lost = "" if method == "no-privacy" else f"{event - PAPER['no-privacy'][0]:+.1f}"
    in_loop = "–" if loop is None else str(loop)
    events = f"{event} ({quiet} / {spoken})"
    speech, rule = f"{right} / {area}", RULES["hidden"]
    return Cells(["*the paper*", rule, events, lost, "", in_loop, speech, "", f"{gender}", "", "", f"{steps}", ""])


def _named(runs: Sequence[Result]) -> str:
    method = runs[0]["method"]
    return f"{METHODS.get(method, method)} ({len(runs)} seed{'s' if len(runs) > 1 else ''})"


def _rule(runs: Sequence[Result]) -> str:
    return RULES[runs[0]["rule"]] if runs[0]["ruled"] else "the only one"


def _events(runs: Sequence[Result]) -> str:
    halves = percent(*(float(np.mean([run["event"][half] for run in runs])) for half in ("quiet", "speech")))
    return f"{means('event.all.score', 100)(runs)} ({halves})"


def _lost(runs: Sequence[Result]) -> str:
    """The difference to no privacy of the same seed, in points."""
    known = [run for run in runs if run["alone"] is not None and run["method"] != "no-privacy"]
    return mean([100 * (run["event"]["all"]["score"] - run["alone"]) for run in known]) if known else ""


def _lowest(runs: Sequence[Result]) -> str:
    return percent(min(run["event"]["all"]["score"] for run in runs))


def _in_loop(runs: Sequence[Result]) -> str:
    return "–" if runs[0]["in_loop"] is None else means("in_loop", 100)(runs)


def _ladder(what: str, runs: Sequence[Result]) -> str:
    return mean([strongest(run[what])["auc"]["score"] for run in runs], 3)


def _pair(*cells: Callable[[Sequence[Result]], str]) -> Callable[[Sequence[Result]], str]:
    return lambda runs: " / ".join(cell(runs) for cell in cells)


TABLE = Table(
    (
        ("", _named),
        ("checkpoint", _rule),
        ("event % (without / with speech)", _events),
        ("less those of no privacy, points", _lost),
        ("event %, lowest seed", _lowest),
        ("in-loop D %", _in_loop),
        (
            "retrained D^tau: accuracy % / AUC",
            _pair(means("paper.speech.accuracy.score", 100), means("paper.speech.auc.score", digits=3)),
        ),
        ("strongest of the ladder: AUC", partial(_ladder, "speech")),
        (
            "gender: D^tau % / strongest AUC",
            _pair(means("paper.gender.accuracy.score", 100), partial(_ladder, "gender")),
        ),
        ("speaker EER %", means("speaker.eer", 100)),
        (
            "a minute: speech / gender AUC",
            _pair(means("minute.speech.auc", digits=2), means("minute.gender.auc", digits=2)),
        ),
        ("steps", lambda runs: f"{np.mean([run['steps'] for run in runs]):.0f}"),
        ("seconds", lambda runs: f"{np.mean([run['seconds'] for run in runs]):.0f}"),
    ),
    lines,
)
