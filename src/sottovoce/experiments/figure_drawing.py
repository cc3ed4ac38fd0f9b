"""How Figures 3 and 4 are told: tables beside the paper's digitised points, captions, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sottovoce.experiments.drawing import svg
from sottovoce.experiments.figure_runs import METHODS

# Accuracy in per cent, emotion and gender, where the speaker is permitted; read from the article's Figure 4, +- 0.5.
PAPER: Mapping[tuple[str, str], Mapping[str, tuple[float, float]]] = {
    ("ravdess", "adr"): {"original": (92.2, 99.1), "uninformed": (15.9, 52.8), "informed": (70.5, 61.9)},
    ("ravdess", "optin"): {"original": (97.7, 99.6), "uninformed": (15.4, 48.2), "informed": (27.9, 52.3)},
    ("emovdb", "adr"): {"original": (91.7, 99.4), "uninformed": (21.1, 50.3), "informed": (79.1, 63.7)},
    ("emovdb", "optin"): {"original": (97.7, 99.7), "uninformed": (17.9, 51.6), "informed": (28.0, 54.3)},
}
INKS = {"optin": "#0068a8", "adr": "#c04a00", "codebook": "#1a7f5a"}
_LINES = ((":", "chance"), ("--", "floor"))
MARKS = {"uninformed": "s", "informed": "o", "strongest": "+"}
HEADS = ("corpus", "permitted, method", "target: without", "with", "attacked", "chance")
PAPER_HEAD = "the paper: unprotected / uninformed / informed"
# What is told of each attribute, and its heading in a table.
SCORES = {
    "floor": "floor",
    "ceiling": "ceiling",
    "unprotected": "x-vectors, unprotected",
    "uninformed": "uninformed",
    "informed": "informed",
    "strongest": "strongest",
}
Found = Mapping[str, Any]


def corpora_of(found: Sequence[Found]) -> list[str]:
    """The corpora, in the order in which they were run."""
    return list(dict.fromkeys(each["corpus"]["name"] for each in found))


def caption(title: str, found: Sequence[Found]) -> str:
    """One sentence that says what was run."""
    first = found[0]
    attacked = list(dict.fromkeys(task for each in found for task in each["private"]))
    sizes = {each["corpus"]["name"]: each["corpus"] for each in found}
    where = ", ".join(
        f"{name} ({one['test_clips']} test recordings, split by {one['split']})" for name, one in sizes.items()
    )
    declared = next((each["declared"] for each in found if each["declared"]), "nothing")
    seeds = ", ".join(str(seed) for seed in sorted({each["seed"] for each in found}))
    presets = {each["method"]: each["preset"] for each in found}
    methods = ", ".join(f"{METHODS[name]} (preset {preset})" for name, preset in presets.items())
    return (
        f"{title}: permit {first['permit']}, attack {' and '.join(attacked)}, on {where}; {methods}; "
        f"{declared} declared to ADR; seeds {seeds}; {first['attackers']} attackers."
    )


def table(found: Sequence[Found], attributes: Sequence[str]) -> str:
    """Markdown, in per cent: the runs of each corpus and method, seed by seed; the paper's points are last.

    The interval, 95 %, and the attacker's name are those of the seed that the strongest attacker reads best; "at least"
    where that attacker had not converged.
    """
    rows = [[*HEADS, *SCORES.values(), "highest", PAPER_HEAD]]
    for corpus in corpora_of(found):
        for method, name in METHODS.items():
            runs = [each for each in found if (each["corpus"]["name"], each["method"]) == (corpus, method)]
            for task in attributes:
                entries = [each["private"][task] for each in runs if task in each["private"]]
                if entries:
                    cells = [corpus, f"{runs[0]['permit']}, {name}"]
                    cells += [_seeds([each["permitted"][side] for each in runs]) for side in ("original", "obfuscated")]
                    cells += [task, f"{100 * entries[0]['chance']:.1f}"]
                    cells += [_seeds([entry.get(key) for entry in entries]) for key in SCORES]
                    highest = max(
                        (entry["strongest"] for entry in entries), key=lambda strongest: float(strongest["score"])
                    )
                    least = "" if highest["converged"] else "at least "
                    cells += [
                        f"{least}{100 * highest['low']:.1f} to {100 * highest['high']:.1f}, {highest['attacker']}"
                    ]
                    rows.append([*cells, _published(corpus, method, runs[0]["permit"], task)])
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _seeds(scores: Sequence[Found | None]) -> str:
    """The score of each seed, or of all where they are the same."""
    known = [f"{100 * score['score']:.1f}" for score in scores if score is not None]
    return " / ".join(known if len(set(known)) > 1 else known[:1]) or "–"


def _published(corpus: str, method: str, permit: str, task: str) -> str:
    points = PAPER.get((corpus, method))
    if points is None or permit != "speaker" or task not in ("emotion", "gender"):
        return ""
    return " / ".join(str(point[task == "gender"]) for point in points.values())


def over_target(found: Sequence[Found], attribute: str) -> bytes:
    """An SVG, a panel for each corpus: what the target gets right over what attackers do, a mark for each run."""
    names = corpora_of(found)
    figure = Figure(figsize=(1.0 + 3.0 * len(names), 3.8), layout="constrained")
    for axes, corpus in zip(np.atleast_1d(figure.subplots(1, len(names), sharey=True)), names, strict=True):
        runs = [each for each in found if each["corpus"]["name"] == corpus]
        for each in runs:
            entry, permitted = each["private"][attribute], each["permitted"]
            _mark(axes, entry["ceiling"], permitted["original"], "*", "black")
            for knowledge, mark in MARKS.items():
                _mark(axes, entry[knowledge], permitted["obfuscated"], mark, INKS[each["method"]])
        _lines(axes.axvline, runs[0]["private"][attribute])
        axes.set(title=corpus, xlabel=f"{attribute} read by attackers, %", xlim=(-3, 103))
    least = min(100 * each["permitted"][side]["score"] for each in found for side in ("original", "obfuscated"))
    figure.axes[0].set(ylabel=f"{found[0]['permit']} right by the target, %", ylim=(min(90, least) - 1, 101))
    return _finished(figure)


def over_each_other(found: Sequence[Found], across: str, up: str) -> bytes:
    """An SVG, a panel for each corpus: two attributes read by attackers, a mark for each run; the paper's are hollow.

    Each is read by the attacker who does best on it.
    """
    names = corpora_of(found)
    figure = Figure(figsize=(1.0 + 3.6 * len(names), 4.2), layout="constrained")
    for axes, corpus in zip(np.atleast_1d(figure.subplots(1, len(names), sharey=True)), names, strict=True):
        runs = [each for each in found if each["corpus"]["name"] == corpus]
        for each in runs:
            x, y = each["private"][across], each["private"][up]
            _mark(axes, x["ceiling"], y["ceiling"], "*", "black")
            for knowledge, mark in MARKS.items():
                _mark(axes, x[knowledge], y[knowledge], mark, INKS[each["method"]])
        for method, ink in INKS.items():
            for name, (emotion, gender) in PAPER.get((corpus, method), {}).items():
                axes.plot(emotion, gender, ({"original": "*"} | MARKS)[name], ms=9, mec=ink, mfc="none")
        _lines(axes.axvline, runs[0]["private"][across])
        _lines(axes.axhline, runs[0]["private"][up])
        axes.set(title=corpus, xlabel=f"{across} read by attackers, %", xlim=(-3, 103), ylim=(-3, 103))
    figure.axes[0].set_ylabel(f"{up} read by attackers, %")
    return _finished(figure)


def _mark(axes: Axes, x: Found | None, y: Found | None, mark: str, ink: str) -> None:
    if x is not None and y is not None:
        axes.plot(100 * x["score"], 100 * y["score"], mark, ms=12 if mark == "+" else 6, color=ink, alpha=0.7)


def _lines(line: Any, entry: Found) -> None:
    """Chance is dotted, the floor dashed."""
    line(100 * entry["chance"], color="black", ls=":", lw=0.8)
    line(100 * entry["floor"]["score"], color="black", ls="--", lw=0.8)


def _finished(figure: Figure) -> bytes:
    """With a legend of its own, since most marks occur more than once."""
    axes = figure.axes[0]
    handles = [axes.plot([], [], "*", color="black", label="originals")[0]]
    handles += [axes.plot([], [], "D", ms=5, color=ink, label=METHODS[name])[0] for name, ink in INKS.items()]
    handles += [axes.plot([], [], mark, color="grey", label=name)[0] for name, mark in MARKS.items()]
    handles += [axes.plot([], [], style, color="black", lw=0.8, label=name)[0] for style, name in _LINES]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    for each in figure.axes:
        each.spines[["top", "right"]].set_visible(False)
    return svg(figure)
