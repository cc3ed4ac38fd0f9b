"""The pictures of the experiments that audit filters, as SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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
MARKS = {"uninformed": "s", "informed": "o", "strongest": "+"}
_LINES = ((":", "chance"), ("--", "floor"))
_RATE_INKS = {"target": "#1a7f5a", "speaker": "#c04a00", "gender": "#0068a8"}


def svg(figure: Figure, framed: bool = False) -> bytes:
    """A figure as SVG, without the date: the same results give the same picture."""
    for axes in () if framed else figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def over_target(attribute: str, results: Sequence[Result]) -> bytes:
    """An SVG, a panel for each corpus: what the target gets right over what attackers do, a mark for each run."""

    def right(run: Result) -> Result:
        (permitted,) = run["permitted"].values()
        return {"ceiling": permitted["original"], **dict.fromkeys(MARKS, permitted["obfuscated"])}

    figure = Figure(figsize=(1.0 + 3.0 * len(_by_corpus(results)), 3.8), layout="constrained")
    for axes, runs in _panels(figure, results):
        _points(axes, runs, lambda run: run["private"][attribute], right)
        _lines(axes.axvline, runs[0]["private"][attribute])
        axes.set(xlabel=f"{attribute} read by attackers, %", xlim=(-3, 103))
    least = min(100 * score["score"] for run in results for score in right(run).values())
    figure.axes[0].set(ylabel=f"{results[0]['permit'][0]} right by the target, %", ylim=(min(90, least) - 1, 101))
    return _finished(figure)


def over_each_other(across: str, up: str, results: Sequence[Result]) -> bytes:
    """An SVG, a panel for each corpus: two attributes read by attackers, a mark for each run; the paper's are hollow.

    Each is read by the attacker who does best on it.
    """
    figure = Figure(figsize=(1.0 + 3.6 * len(_by_corpus(results)), 4.2), layout="constrained")
    for axes, runs in _panels(figure, results):
        _points(axes, runs, lambda run: run["private"][across], lambda run: run["private"][up])
        for method, ink in INKS.items():
            for name, (emotion, gender) in PAPER.get((runs[0]["corpus"]["name"], method), {}).items():
                axes.plot(emotion, gender, ({"original": "*"} | MARKS)[name], ms=9, mec=ink, mfc="none")
        _lines(axes.axvline, runs[0]["private"][across])
        _lines(axes.axhline, runs[0]["private"][up])
        axes.set(xlabel=f"{across} read by attackers, %", xlim=(-3, 103), ylim=(-3, 103))
    figure.axes[0].set_ylabel(f"{up} read by attackers, %")
    return _finished(figure)


def _by_corpus(results: Sequence[Result]) -> dict[str, list[Result]]:
    return grouped(results, lambda run: run["corpus"]["name"])


def _panels(figure: Figure, results: Sequence[Result]) -> Iterator[tuple[Axes, list[Result]]]:
    """A panel, and the runs that it shows, for each corpus."""
    corpora = _by_corpus(results)
    panels = np.atleast_1d(figure.subplots(1, len(corpora), sharey=True))
    for axes, (corpus, runs) in zip(panels, corpora.items(), strict=True):
        axes.set_title(corpus)
        yield axes, runs


def _points(
    axes: Axes, runs: Sequence[Result], across: Callable[[Result], Result], up: Callable[[Result], Result]
) -> None:
    """A mark for each run and each knowledge of attackers, where both scores are known; black are originals."""
    for run in runs:
        x, y = across(run), up(run)
        for name, mark in {"ceiling": "*", **MARKS}.items():
            if x[name] is not None and y[name] is not None:
                ink = "black" if name == "ceiling" else INKS[run["method"]]
                size = 12 if mark == "+" else 6
                axes.plot(100 * x[name]["score"], 100 * y[name]["score"], mark, ms=size, color=ink, alpha=0.7)


def _lines(line: Any, entry: Result) -> None:
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
