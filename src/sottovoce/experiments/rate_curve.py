"""The figure of the codebook: what the application and the attackers get, over the bits that can leave."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

_INKS = {"target": "#1a7f5a", "speaker": "#c04a00", "gender": "#0068a8"}


def rate_curve(runs: Sequence[Mapping[str, Any]]) -> bytes:
    """An SVG: accuracies in % with their intervals over bits per second; dotted what the permitted answer gives away.

    `runs` are those of one setting, permit one task, and differ in their codes and in the length of their blocks.
    """
    ordered = sorted(runs, key=lambda run: float(run["filter"]["rate_bits_per_s"]))
    rates = [run["filter"]["rate_bits_per_s"] for run in ordered]
    task = ordered[0]["permit"][0]
    curves = {"target": [run["permitted"][task]["obfuscated"] for run in ordered]}
    curves |= {name: [run["private"][name]["worst"] for run in ordered] for name in ordered[0]["private"]}
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, scores in curves.items():
        middle = [100 * score["score"] for score in scores]
        reach = [
            [100 * (score["score"] - score["low"]) for score in scores],
            [100 * (score["high"] - score["score"]) for score in scores],
        ]
        label = f"{task}, by the target" if name == "target" else f"{name}, by the worst attacker"
        axes.errorbar(rates, middle, reach, color=_INKS[name], marker="o", ms=4, lw=1.2, elinewidth=0.6, label=label)
        if name != "target":
            axes.axhline(100 * ordered[0]["private"][name]["floor"]["score"], color=_INKS[name], ls=":", lw=0.8)
    axes.axhline(100 * ordered[0]["permitted"][task]["original"]["score"], color=_INKS["target"], ls="--", lw=0.8)
    for run, rate in zip(ordered, rates, strict=True):
        axes.annotate(
            run["name"].replace(" segments", "").replace(" codes, ", " × "), (rate, 2), fontsize=6, ha="center"
        )
    axes.set(
        xscale="log", ylim=(0, 102), xlabel="bits per second that can leave (codes × segments to a block)", ylabel="%"
    )
    axes.legend(frameon=False, fontsize=8, loc="center left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
