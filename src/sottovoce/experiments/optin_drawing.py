"""The figure of the experiment `optin`: what the target gets right against what the strongest attacker reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sottovoce.experiments.experiment import Result, grouped
from sottovoce.experiments.figure_drawing import svg
from sottovoce.experiments.optin_table import setting, strongest, understood

_INKS = {"none": "black", "latent": "#0068a8", "-L_a": "#c04a00"}
_NAMES = {"none": "", "latent": "latent (3), ", "-L_a": "−L_a, "}
_MARKS = {1: "D", 2: "v", 8: "o", 32: "s"}  # by the channels of the body
_STYLES: dict[float, Any] = {0.0: "-", 0.1: (0, (5, 1)), 0.3: "--", 1.0: "-.", 3.0: ":"}


def curves(results: Sequence[Result]) -> bytes:
    """An SVG, a panel for each attribute: a line for each loss and r over the bodies, a point the mean of the seeds."""
    tasks = list(results[0]["read"])
    figure = Figure(figsize=(1.6 + 4.2 * len(tasks), 4.4), layout="constrained")
    for axes, task in zip(np.atleast_1d(figure.subplots(1, len(tasks), sharex=True)), tasks, strict=True):
        for line in grouped(results, lambda run: setting(run)[:3]).values():
            _line(axes, task, line)
        floor = 100 * np.mean([strongest(run, task, "floor") for run in results])
        axes.axhline(floor, color="black", ls=":", lw=0.8)
        axes.set(title=f"{task}, by the strongest attacker, %", xlabel=f"{results[0]['permit']} by the target, %")
    marks = [figure.axes[0].plot([], [], mark, color="grey", label=f"body {n}")[0] for n, mark in _MARKS.items()]
    handles = [*figure.axes[0].get_legend_handles_labels()[0][: -len(marks)], *marks]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    return svg(figure)


def _line(axes: Axes, task: str, runs: Sequence[Result]) -> None:
    """The runs of one loss and ratio, a mark for each body."""
    method, loss, ratio, _ = setting(runs[0])
    points = grouped(runs, lambda run: setting(run)[3])
    x = [100 * np.mean([understood(run) for run in some]) for some in points.values()]
    y = [100 * np.mean([strongest(run, task) for run in some]) for some in points.values()]
    if method == "codebook":
        axes.plot(x, y, "*", ms=12, color="#1a7f5a", label="codebook")
        return
    look: dict[str, Any] = {"ls": _STYLES[ratio], "color": _INKS[loss], "lw": 1.1 if ratio else 2.2}
    axes.plot(x, y, label=f"{_NAMES[loss]}r = {ratio:g}", **look)
    for body, across, up in zip(points, x, y, strict=True):
        axes.plot(across, up, _MARKS.get(body, "*"), color=_INKS[loss], ms=6)
