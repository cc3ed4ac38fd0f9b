"""The figure of the codebook: what the application and the attackers get, over the bits that can leave."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sottovoce.experiments.drawing import svg

_INKS = {"target": "#1a7f5a", "speaker": "#c04a00", "gender": "#0068a8"}
Run = Mapping[str, Any]


def rate_curve(runs: Sequence[Run]) -> bytes:
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
    return svg(figure)


def _panel(axes: Axes, runs: Sequence[Run], places: Sequence[int], label: str) -> None:
    """Scores over `places`, on a scale of doublings, with the bits of a block under each."""
    task, first = runs[0]["permit"][0], runs[0]
    x = [math.log2(place) for place in places]
    curves = {"target": (f"{task}, by the target", [run["permitted"][task]["obfuscated"] for run in runs])}
    for name in first["private"]:
        curves[name] = f"{name}, by the strongest attacker", [run["private"][name]["strongest"] for run in runs]
        axes.axhline(100 * first["private"][name]["floor"]["score"], color=_INKS[name], ls=":", lw=0.8)
    for name, (said, scores) in curves.items():
        middle = [100 * score["score"] for score in scores]
        reach = [[100 * abs(score["score"] - score[end]) for score in scores] for end in ("low", "high")]
        axes.errorbar(x, middle, reach, color=_INKS[name], marker="o", ms=4, lw=1.2, elinewidth=0.6, label=said)
    axes.axhline(100 * first["permitted"][task]["original"]["score"], color=_INKS["target"], ls="--", lw=0.8)
    labels = [f"{place}\n{run['filter']['bits_per_block']:.2f} bits" for place, run in zip(places, runs, strict=True)]
    axes.set_xticks(x, labels, fontsize=7)
    axes.set(ylim=(0, 102), xlabel=label)
