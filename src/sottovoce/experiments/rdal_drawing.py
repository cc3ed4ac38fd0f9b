"""The two figures of `experiment rdal`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from sottovoce.experiments.experiment import Result
from sottovoce.experiments.figure_drawing import svg

METHODS = {  # its preset: what it is called in the table
    "no-privacy": "no privacy",
    "reversal": "plain reversal",
    "compact": "RDAL",
    "masked": "RDAL+M",
    "pool": "ours (a): pool",
    "codes": "ours (b): codes",
}
_INKS = ("#555555", "#c04a00", "#0068a8", "#7a3fa0", "#b59b00", "#1a7f5a")


def strongest(rows: Sequence[Result]) -> Result:
    """The attacker with the highest AUC on test."""
    return max(rows, key=lambda row: float(row["auc"]["score"]))


def verification_curve(results: Sequence[Result]) -> bytes:
    """An SVG: over epochs, what the adversary in the loop gets right on validation, and a fresh one."""
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    for axes, preset, name in zip(
        figure.subplots(1, 2, sharey=True), ("compact", "masked"), ("RDAL", "RDAL+M"), strict=True
    ):
        runs = [np.array(each["rows"], float) for each in results if each["method"] == preset]
        for number, rows in enumerate(runs):
            epochs, verified = np.arange(1, len(rows) + 1), ~np.isnan(rows[:, 4])
            first = number == 0
            axes.plot(epochs, 100 * rows[:, 2], color="#c0c0c0", lw=0.6, label="D in the loop" if first else None)
            axes.plot(
                epochs[verified], 100 * rows[verified, 4], color="#c04a00", lw=1.0, label="fresh" if first else None
            )
        axes.axhline(50, color="black", ls=":", lw=0.8)
        axes.set(title=name, xlabel="epoch", ylim=(40, 85))
    figure.axes[0].set_ylabel("speech found on validation, %")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return svg(figure)


def plane(results: Sequence[Result]) -> bytes:
    """An SVG: accuracy of events over the AUC of the strongest attacker of the ladder, a point for each run."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    methods = list(dict.fromkeys(each["method"] for each in results))
    for ink, method in zip(_INKS, methods, strict=False):
        runs = [each for each in results if each["method"] == method]
        x = [strongest(each["speech"])["auc"]["score"] for each in runs]
        y = [100 * each["event"]["all"]["score"] for each in runs]
        axes.plot(x, y, "o", ms=5, color=ink, label=METHODS.get(method, method))
    axes.axvline(0.5, color="black", ls=":", lw=0.8)
    axes.set(xlabel="speech, AUC of the strongest attacker", ylabel="events, %")
    axes.legend(frameon=False, fontsize=8)
    return svg(figure)
