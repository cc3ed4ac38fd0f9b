"""The two figures of `experiment rdal`: one line or mark for each method, with what seeds spread over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sottovoce.experiments.experiment import Result, grouped
from sottovoce.experiments.figure_drawing import svg

METHODS = {  # its preset: what it is called in the table
    "no-privacy": "no privacy",
    "reversal": "plain reversal",
    "compact": "RDAL",
    "masked": "RDAL+M",
    "pool": "ours (a): pool",
    "codes": "ours (b): codes",
}
PAPER_CURVE = {  # epochs of 66 steps, and what a fresh attacker got right on the paper's test part, %
    "compact": ((50, 100, 250, 500, 1000, 1500, 2000), (73.4, 75.1, 77.9, 74.8, 70.1, 66.3, 63.8)),
    "masked": ((70, 140, 350, 700, 1050, 1400, 2100), (57.8, 56.3, 54.7, 54.0, 52.1, 52.1, 51.6)),
}
_EPOCH = 66
_INKS = dict(zip(METHODS, ("#555555", "#c04a00", "#0068a8", "#7a3fa0", "#8a6d00", "#1a7f5a"), strict=True))
_MARKS = dict(zip(METHODS, "osD^vP", strict=True))
_LINES = {  # of a check: its name, ink and dashes
    "fresh_accuracy": ("speech, fresh attacker", "#c04a00", "-"),
    "in_loop_accuracy": ("speech, D in the loop", "#555555", "--"),
    "event_accuracy": ("events", "#0068a8", "-"),
}


def strongest(rows: Sequence[Result]) -> Result:
    """The attacker with the highest AUC on test."""
    return max(rows, key=lambda row: float(row["auc"]["score"]))


def verification_curve(results: Sequence[Result]) -> bytes:
    """An SVG: over steps, the mean over seeds of what is right on validation, and from the lowest seed to the highest.

    Each mean is over the seeds that are still in training.
    """
    drawn = [name for name in PAPER_CURVE if any(each["method"] == name for each in results)] or ["compact"]
    figure = Figure(figsize=(1.0 + 3.6 * len(drawn), 3.4), layout="constrained")
    for axes, method in zip(figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0], drawn, strict=True):
        _checks(axes, [each["checks"] for each in results if each["method"] == method])
        epochs, right = PAPER_CURVE[method]
        axes.plot(
            np.multiply(epochs, _EPOCH), right, "x", color="#c04a00", ms=5, label="speech, fresh attacker, the paper"
        )
        axes.axhline(50, color="black", ls=":", lw=0.8)
        axes.set(title=METHODS[method], xlabel="step", ylim=(0, 100))
        axes.xaxis.set_major_formatter(lambda step, _: f"{step / 1000:g} k" if step else "0")
    figure.axes[0].set_ylabel("right on validation, %")
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=8
    )
    return svg(figure)


def _checks(axes: Axes, seeds: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Mean and band of each line over the checks that seeds have in common."""
    for name, (label, ink, dashes) in _LINES.items():
        at = grouped([check for checks in seeds for check in checks if check[name] is not None], lambda c: c["step"])
        steps = sorted(at)
        if steps:
            values = [[100 * check[name] for check in at[step]] for step in steps]
            axes.plot(steps, [np.mean(each) for each in values], color=ink, ls=dashes, lw=1.4, label=label)
            low, high = ([end(each) for each in values] for end in (min, max))
            axes.fill_between(steps, low, high, color=ink, alpha=0.15, lw=0)


def plane(results: Sequence[Result]) -> bytes:
    """An SVG: accuracy of events over the AUC of the strongest attacker: means, from the lowest seed to the highest.

    Filled marks are checkpoints kept by the original's rule, open ones those where events count.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for method, runs in grouped(results, lambda result: result["method"]).items():
        label = METHODS.get(method, method)
        _mark(axes, method, runs, label, filled=True)
        balanced = [each | each.get("balanced", {}) for each in map(dict, runs)]
        if any("balanced" in each for each in runs):
            _mark(axes, method, balanced, f"{label}, events count", filled=False)
    axes.axvline(0.5, color="black", ls=":", lw=0.8)
    axes.set(xlabel="speech, AUC of the strongest attacker", ylabel="events, %")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return svg(figure)


def _mark(axes: Axes, method: str, runs: Sequence[Result], label: str, filled: bool) -> None:
    """The mean of runs, and bars from the lowest to the highest."""
    ink = _INKS.get(method, "#000000")
    points = np.array(
        [[strongest(each["speech"])["auc"]["score"], 100 * each["event"]["all"]["score"]] for each in runs]
    )
    middle = points.mean(axis=0)
    bars = np.stack([middle - points.min(axis=0), points.max(axis=0) - middle])
    axes.errorbar(
        middle[0],
        middle[1],
        xerr=bars[:, :1],
        yerr=bars[:, 1:],
        fmt=_MARKS.get(method, "*"),
        color=ink,
        mfc=ink if filled else "white",
        ms=7,
        lw=0.9,
        label=label,
    )
