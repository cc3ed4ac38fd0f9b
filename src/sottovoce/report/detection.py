"""The detection error trade-off (DET) of a filter's rejection, as a figure.

Martin et al. 1997, "The DET curve in assessment of detection task performance": false alarms and misses on axes of
normal deviates, where the errors of two normal distributions lie on a straight line.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from scipy.stats import norm

from sottovoce.models.rejection import Rejection
from sottovoce.report.pictures import INFORMED, INK, UNINFORMED, WHITE_BOX, style, svg
from sottovoce.report.wording import short

_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
_LEAST = 5e-5  # a rate of 0 or 1 has no normal deviate, and is drawn at the edge
_LINES = ("-", "--", ":", "-.")
_COLOURS = (INFORMED, UNINFORMED, WHITE_BOX)


def det(name: str, rejections: Mapping[str, Rejection]) -> Markup | None:
    """The DET curve of each task, with a mark at its threshold; None where the card has no curve."""
    drawn = {task: rejection for task, rejection in rejections.items() if len(rejection.curve) > 1}
    if not drawn:
        return None
    with style():
        figure = Figure(figsize=(2.9, 2.7), layout="constrained")
        axes = figure.subplots()
        for number, (task, rejection) in enumerate(drawn.items()):
            colour, line = _COLOURS[number % len(_COLOURS)], _LINES[number % len(_LINES)]
            thresholds, *rates = np.array(sorted(rejection.curve)).T
            alarms, misses = (norm.ppf(np.clip(rate, _LEAST, 1.0 - _LEAST)) for rate in rates)
            axes.plot(alarms, misses, color=colour, ls=line, lw=1.2)
            chosen = int(np.abs(thresholds - rejection.threshold).argmin())
            axes.plot(alarms[chosen], misses[chosen], "o", color=colour, ms=5, clip_on=False)
            axes.annotate(
                short(task, 18), (alarms[chosen], misses[chosen]), xytext=(5, 5), textcoords="offset points",
                fontsize=7, color=INK, parse_math=False,
            )  # fmt: skip
        at, labels = norm.ppf(_TICKS), [f"{100 * tick:g}" for tick in _TICKS]
        axes.set_xticks(at, labels)
        axes.set_yticks(at, labels)
        edges = norm.ppf((_LEAST, 0.97))
        axes.set(xlim=edges, ylim=edges, xlabel="false alarms, % of other blocks", ylabel="misses, % of blocks")
        axes.set_box_aspect(1)
        return svg(name, "Misses over false alarms at every threshold, on axes of normal deviates.", figure)
