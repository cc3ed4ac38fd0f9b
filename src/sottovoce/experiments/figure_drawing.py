"""The pictures of the experiments that audit filters, as SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sottovoce.experiments.experiment import Result, grouped

METHODS = {"optin": "opt-in", "adr": "ADR", "codebook": "codebook"}
# Accuracy in per cent, emotion and gender, where the speaker is permitted; read from the article's Figure 4, +- 0.5.
PAPER: Mapping[tuple[str, str], Mapping[str, tuple[float, float]]] = {
    ("ravdess", "adr"): {"original": (92.2, 99.1), "uninformed": (15.9, 52.8), "informed": (70.5, 61.9)},
    ("ravdess", "optin"): {"original": (97.7, 99.6), "uninformed": (15.4, 48.2), "informed": (27.9, 52.3)},
    ("emovdb", "adr"): {"original": (91.7, 99.4), "uninformed": (21.1, 50.3), "informed": (79.1, 63.7)},
    ("emovdb", "optin"): {"original": (97.7, 99.7), "uninformed": (17.9, 51.6), "informed": (28.0, 54.3)},
}
INKS = {"optin": "#0068a8", "adr": "#c04a00", "codebook": "#1a7f5a"}
# Marks lie inside each other where scores are the same: uninformed, DeepSpeech2 informed, and the strongest of all.
MARKS = {"original": ("*", 12), "uninformed": ("s", 11), "informed": ("^", 8), "strongest": (".", 6)}
_NAMES = {
    "original": "originals",
    "uninformed": "strongest uninformed attacker",
    "informed": "DeepSpeech2, informed, as in the paper",
    "strongest": "strongest attacker",
}
_LINES = {":": "chance", "--": "floor"}
_RATE_INKS = {"target": "#1a7f5a", "speaker": "#c04a00", "gender": "#0068a8"}


def svg(figure: Figure, framed: bool = False) -> bytes:
    """A figure as SVG, without the date: the same results give the same picture."""
    for axes in () if framed else figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def over_target(attribute: str, results: Sequence[Result]) -> bytes:
    """An SVG, a panel for each corpus: what the target gets right over what attackers do, means and ranges of seeds."""

    def right(run: Result) -> dict[str, float]:
        (permitted,) = run["permitted"].values()
        after = dict.fromkeys(MARKS, float(permitted["obfuscated"]["score"]))
        return after | {"original": float(permitted["original"]["score"])}

    panels = grouped(results, lambda run: run["corpus"]["name"])
    figure = Figure(figsize=(1.0 + 3.4 * len(panels), 4.4), layout="constrained")
    for axes, (corpus, runs) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
        _points(axes, runs, partial(read_by, attribute), right)
        _lines(axes.axvline, runs[0]["private"][attribute])
        permitted = runs[0]["permit"][0]
        read = "read" if runs[0]["private"][attribute]["floor"] else "told apart (1 - equal error rate)"
        axes.set(title=corpus, xlabel=f"{attribute} {read}, %", ylabel=f"{permitted} right by the target, %")
        axes.set(xlim=(-3, 103), ylim=(min(90.0, axes.get_ylim()[0]), 100.5))  # from 90 on, as in the paper
    return _finished(figure)


def over_each_other(across: str, up: str, results: Sequence[Result]) -> bytes:
    """An SVG, a panel for each corpus: two attributes read by attackers, means and ranges of seeds; hollow: the paper.

    Each is read by the attacker who does best on it.
    """
    panels = grouped(results, lambda run: run["corpus"]["name"])
    figure = Figure(figsize=(1.0 + 4.2 * len(panels), 5.0), layout="constrained")
    for axes, (corpus, runs) in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels.items(), strict=True):
        _points(axes, runs, partial(read_by, across), partial(read_by, up))
        for method, ink in INKS.items():
            for name, point in PAPER.get((corpus, method), {}).items():
                axes.plot(*point, MARKS[name][0], ms=MARKS[name][1], mec=ink, mfc="none")
                axes.annotate("paper", point, (7, -3), textcoords="offset points", fontsize=6, color=ink)
        _lines(axes.axvline, runs[0]["private"][across])
        _lines(axes.axhline, runs[0]["private"][up])
        axes.set(title=corpus, xlabel=f"{across} read, %", ylabel=f"{up} read, %", xlim=(-3, 103), ylim=(-3, 106))
    return _finished(figure)


def read_by(attribute: str, run: Result) -> dict[str, float]:
    """What each kind of attacker of `MARKS` reads of a run, where there was one; "original" is without a filter."""
    entry = run["private"][attribute]
    kinds = {"original": entry["ceiling"], "uninformed": entry["uninformed"], "strongest": entry["strongest"]}
    rows = (row for row in entry["attackers"] if row["attacker"] == "DeepSpeech2" and row["knowledge"] == "informed")
    kinds["informed"] = next(rows, None)
    return {name: float(row["score"]) for name, row in kinds.items() if row is not None}


def _points(
    axes: Axes,
    runs: Sequence[Result],
    across: Callable[[Result], dict[str, float]],
    up: Callable[[Result], dict[str, float]],
) -> None:
    """A mark for each method and kind of attacker where both scores are known, at the mean over seeds."""
    for method, some in grouped(runs, lambda run: run["method"]).items():
        for name, (mark, size) in MARKS.items():
            points = [(across(run).get(name), up(run).get(name)) for run in some]
            known = 100 * np.array([(x, y) for x, y in points if x is not None and y is not None])
            if not len(known):
                continue
            middle = known.mean(axis=0)
            reach = np.abs(np.stack([known.min(axis=0), known.max(axis=0)]) - middle)
            ink = "black" if name == "original" else INKS[method]
            inside = ink if name in ("original", "strongest") else "none"
            axes.errorbar(
                middle[:1], middle[1:], reach[:, 1:], reach[:, :1], fmt=mark, ms=size, color=ink, mfc=inside, lw=0.6
            )


def _lines(line: Any, entry: Result) -> None:
    """Chance is dotted, the floor, which linking has not, dashed."""
    line(100 * entry["chance"], color="black", ls=":", lw=0.8)
    if entry["floor"]:
        line(100 * entry["floor"]["score"], color="black", ls="--", lw=0.8)


def _finished(figure: Figure) -> bytes:
    """With a legend of its own, since most marks occur more than once."""
    axes = figure.axes[0]
    handles = [axes.plot([], [], "-", lw=4, color=ink, label=METHODS[name])[0] for name, ink in INKS.items()]
    for name, (mark, size) in MARKS.items():
        inside = "black" if name in ("original", "strongest") else "none"
        handles += axes.plot([], [], mark, ms=size, color="black", mfc=inside, label=_NAMES[name])
    handles += [axes.plot([], [], style, color="black", lw=0.8, label=name)[0] for style, name in _LINES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return svg(figure)


def rate_curve(runs: Sequence[Result]) -> bytes:
    """An SVG: accuracies in % with their intervals, over codes and over the length of a block; dotted are the floors.

    `runs` permit the same one task, and are named "K codes, S segments".
    """
    sizes = {name: (int(name.split()[0]), int(name.split()[2])) for name in (run["name"] for run in runs)}
    usual = max(codes for codes, segments in sizes.values() if segments > 1)
    by_codes = sorted((run for run in runs if sizes[run["name"]][1] == 1), key=lambda run: sizes[run["name"]][0])
    by_block = sorted((run for run in runs if sizes[run["name"]][0] == usual), key=lambda run: sizes[run["name"]][1])
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, by_codes, [sizes[run["name"]][0] for run in by_codes], "codes; one for each 1.28 s")
    _panel(
        right, by_block, [sizes[run["name"]][1] for run in by_block], f"segments of 1.28 s to a block; {usual} codes"
    )
    left.set_ylabel("%")
    right.legend(frameon=False, fontsize=8, loc=(0.3, 0.12))
    return svg(figure, framed=True)


def _panel(axes: Axes, runs: Sequence[Result], places: Sequence[int], label: str) -> None:
    """Scores over `places`, on a scale of doublings, with the bits of a block under each."""
    task, first = runs[0]["permit"][0], runs[0]
    x = [math.log2(place) for place in places]
    curves = {"target": (f"{task}, by the target", [run["permitted"][task]["obfuscated"] for run in runs])}
    for name in first["private"]:
        curves[name] = f"{name}, by the strongest attacker", [run["private"][name]["strongest"] for run in runs]
        axes.axhline(100 * first["private"][name]["floor"]["score"], color=_RATE_INKS[name], ls=":", lw=0.8)
    for name, (label_, scores) in curves.items():
        middle = [100 * score["score"] for score in scores]
        reach = [[100 * abs(score["score"] - score[end]) for score in scores] for end in ("low", "high")]
        axes.errorbar(x, middle, reach, color=_RATE_INKS[name], marker="o", ms=4, lw=1.2, elinewidth=0.6, label=label_)
    axes.axhline(100 * first["permitted"][task]["original"]["score"], color=_RATE_INKS["target"], ls="--", lw=0.8)
    labels = [f"{place}\n{run['filter']['bits_per_block']:.2f} bits" for place, run in zip(places, runs, strict=True)]
    axes.set_xticks(x, labels, fontsize=7)
    axes.set(ylim=(0, 102), xlabel=label)
