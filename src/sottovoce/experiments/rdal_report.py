"""The table and the two figures of `experiment rdal`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t

from sottovoce.experiments.drawing import svg
from sottovoce.experiments.latents import strongest

PAPER = {  # event, in-loop, retrained accuracy / AUC, gender, epochs: the authors' own ten runs each
    "no-privacy": (75.3, None, 76.5, 0.847, 63.6, 69),
    "reversal": (75.0, 50.8, 73.9, 0.825, 58.9, 410),
    "compact": (75.1, 52.4, 62.7, 0.679, 59.6, 2620),
    "masked": (76.7, 50.3, 51.8, 0.528, 51.0, 1960),
}
_INKS = ("#555555", "#c04a00", "#0068a8", "#7a3fa0", "#b59b00", "#1a7f5a")
Found = Mapping[str, Any]


def table(found: Sequence[Found], methods: Mapping[str, str]) -> str:
    """Markdown: means over seeds with the 95 % interval of the mean, and below each the paper's figures."""
    lines = [
        "| | event % | in-loop D % | paper's MLP: accuracy % / AUC | strongest of the ladder: AUC "
        "| gender: paper's MLP % / strongest AUC | speaker EER % | a minute: speech / gender AUC | epochs | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for preset in [*methods, *sorted({each["method"] for each in found} - methods.keys())]:
        runs = [each for each in found if each["method"] == preset]
        cells = [
            f"{methods.get(preset, preset)} ({len(runs)} seed{'s' if len(runs) > 1 else ''})",
            mean([100 * each["event"]["all"]["score"] for each in runs]),
            "–" if runs[0]["in_loop"] is None else mean([100 * each["in_loop"] for each in runs]),
            mean([100 * each["paper"]["speech"]["accuracy"]["score"] for each in runs])
            + " / "
            + mean([each["paper"]["speech"]["auc"]["score"] for each in runs], 3),
            mean([strongest(each["speech"])["auc"]["score"] for each in runs], 3),
            mean([100 * each["paper"]["gender"]["accuracy"]["score"] for each in runs])
            + " / "
            + mean([strongest(each["gender"])["auc"]["score"] for each in runs], 3),
            mean([100 * each["speaker"]["eer"] for each in runs]),
            mean([each["minute"]["speech"]["auc"] for each in runs], 2)
            + " / "
            + mean([each["minute"]["gender"]["auc"] for each in runs], 2),
            f"{np.mean([each['epochs'] for each in runs]):.0f}",
            f"{np.mean([each['seconds'] for each in runs]):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        if preset in PAPER:
            event, loop, right, area, gender, epochs = PAPER[preset]
            said = "–" if loop is None else str(loop)
            lines.append(f"| *the paper* | {event} | {said} | {right} / {area} | | {gender} | | | {epochs} | |")
    return "\n".join(lines)


def mean(values: Sequence[float], digits: int = 1) -> str:
    """A mean and half of its 95 % interval (Student), over seeds."""
    middle = float(np.mean(values))
    if len(values) < 2:
        return f"{middle:.{digits}f}"
    half = float(t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{middle:.{digits}f} ± {half:.{digits}f}"


def verification_curve(found: Sequence[Found]) -> bytes:
    """An SVG: over epochs, what the adversary in the loop gets right on validation, and a fresh one."""
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    for axes, preset, name in zip(
        figure.subplots(1, 2, sharey=True), ("compact", "masked"), ("RDAL", "RDAL+M"), strict=True
    ):
        runs = [np.array(each["rows"], float) for each in found if each["method"] == preset]
        for number, rows in enumerate(runs):
            epochs, verified = np.arange(1, len(rows) + 1), ~np.isnan(rows[:, 4])
            first = number == 0
            axes.plot(epochs, 100 * rows[:, 2], color="#c0c0c0", lw=0.6, label="D in the loop" if first else None)
            axes.plot(
                epochs[verified], 100 * rows[verified, 4], color="#c04a00", lw=1.0, label="fresh" if first else None
            )
        axes.axhline(50, color="black", ls=":", lw=0.8)
        axes.set(title=name, xlabel="epoch", ylim=(40, 85))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("speech found on validation, %")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return svg(figure)


def plane(found: Sequence[Found], names: Mapping[str, str]) -> bytes:
    """An SVG: accuracy of events over the AUC of the strongest attacker of the ladder, a point for each run."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    methods = list(dict.fromkeys(each["method"] for each in found))
    for ink, method in zip(_INKS, methods, strict=False):
        runs = [each for each in found if each["method"] == method]
        x = [strongest(each["speech"])["auc"]["score"] for each in runs]
        y = [100 * each["event"]["all"]["score"] for each in runs]
        axes.plot(x, y, "o", ms=5, color=ink, label=names.get(method, method))
    axes.axvline(0.5, color="black", ls=":", lw=0.8)
    axes.set(xlabel="speech, AUC of the strongest attacker", ylabel="events, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return svg(figure)
