"""The pictures of a report: SVG that stands inside a page and takes its colours from the page's style sheet.

`name` is what the ids inside a picture begin with: on one page, give each picture its own.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sottovoce.audio.spectrum import HOP_SAMPLES, SAMPLE_RATE, Spectrum

# matplotlib must be given real colours: each of these stands for a variable of the style sheet, put in by `_svg`.
INK, ORIGINAL, IGNORANT, INFORMED = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {INK: "--soft", ORIGINAL: "--original", IGNORANT: "--ignorant", INFORMED: "--informed"}
MARKS = {"original": ("o", ORIGINAL, 6), "ignorant": ("s", IGNORANT, 5), "informed": ("*", INFORMED, 9)}
LONGEST_LABEL = 30

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, scaled and read aloud
    "svg.hashsalt": "sottovoce",  # the same results give the same bytes
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
}


def trade(name: str, attribute: Mapping[str, Any], task: str, target: Mapping[str, Any]) -> Markup:
    """The opt-in paper's Figure 3 for one private attribute: target accuracy over attackers' accuracy, both in %."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.9, 2.7), layout="constrained")
        axes = figure.subplots()
        _reference_lines(axes, {name: attribute[name] for name in ("chance", "floor")})
        axes.axhline(100 * target["original"]["score"], color=INK, lw=0.8, ls="--")
        for mark, attacker, application in trade_points(attribute, target):
            x, y = 100 * attacker["score"], 100 * application["score"]
            axes.plot([100 * attacker["low"], 100 * attacker["high"]], [y, y], color=MARKS[mark][1], lw=1.2)
            axes.plot([x, x], [100 * application["low"], 100 * application["high"]], color=MARKS[mark][1], lw=1.2)
            _mark(axes, x, y, mark, attacker.get("converged", True))
        axes.set(xlim=(-3, 103), ylim=(-3, 103), xlabel="attacker's accuracy, %", box_aspect=1)
        axes.set_ylabel(f"target accuracy, {_short(task, 18)}, %", parse_math=False)
        return _svg(name, "The application's accuracy over the attackers' accuracy; the table has the values.", figure)


def trade_points(
    attribute: Mapping[str, Any], target: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """What `trade` draws: (mark, attacker, the target's accuracy on the same sound).

    Of each knowledge the attacker that did best on validation, as the worst of all is chosen; none where nobody had it.
    """
    points = [("original", attribute["ceiling"], target["original"])]
    for knowledge in ("ignorant", "informed"):
        attackers = [attacker for attacker in attribute["attackers"] if attacker["knowledge"] == knowledge]
        if attackers:
            points.append(
                (knowledge, max(attackers, key=lambda attacker: attacker["validation"]), target["obfuscated"])
            )
    return points


def ladder(name: str, attribute: Mapping[str, Any]) -> Markup:
    """Every attacker of one private attribute with its interval, best first; below them those on original sound."""
    filtered, originals = ranked(attribute["attackers"]), ranked(attribute["originals"])
    rungs = [(attacker["knowledge"], attacker) for attacker in filtered]
    rungs += [("original", attacker) for attacker in originals]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.4, 0.9 + 0.2 * len(rungs)), layout="constrained")
        axes = figure.subplots()
        _reference_lines(axes, {name: attribute[name] for name in ("chance", "floor", "ceiling")})
        for row, (mark, attacker) in enumerate(rungs):
            axes.plot([100 * attacker["low"], 100 * attacker["high"]], [row, row], color=_style(mark)[1], lw=1.2)
            _mark(axes, 100 * attacker["score"], row, mark, attacker["converged"])
        if filtered and originals:
            axes.axhline(len(filtered) - 0.5, color=INK, lw=0.4)
        axes.set(xlim=(-2, 102), ylim=(len(rungs) - 0.4, -0.6), xlabel="accuracy, %")
        labels = [_short(attacker["attacker"], LONGEST_LABEL) for _, attacker in rungs]
        axes.set_yticks(range(len(rungs)), labels, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return _svg(name, "Accuracy of every attacker with its interval; the table has the values.", figure)


def ranked(attackers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Attackers, the most accurate first."""
    return sorted(attackers, key=lambda attacker: -attacker["score"])


def spectrogram(name: str, alt: str, spectrum: Spectrum, brightest: float, longest_frames: int) -> Markup:
    """A log spectrum [161, N]; `brightest` (the top of the colour scale) and `longest_frames` are one exhibit's."""
    per_frame = HOP_SAMPLES / SAMPLE_RATE
    extent = (0.0, spectrum.shape[1] * per_frame, 0.0, SAMPLE_RATE / 2000)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(2.9, 2.0), layout="constrained")
        axes = figure.subplots()
        scale: Any = {"cmap": "magma", "vmin": 0.0, "vmax": brightest}
        axes.imshow(spectrum, origin="lower", aspect="auto", extent=extent, interpolation="none", **scale)
        axes.set(xlim=(0, longest_frames * per_frame), xlabel="s", ylabel="kHz", yticks=np.arange(0, 9, 2))
        return _svg(name, alt, figure)


def _reference_lines(axes: Axes, references: Mapping[str, Any]) -> None:
    """Vertical lines, each named on a line of its own above the axes: what they mark often coincides."""
    for height, (name, reference) in enumerate(references.items()):
        x = 100 * (reference if name == "chance" else reference["score"])
        axes.axvline(x, color=INK, lw=0.8, ls={"chance": "--", "floor": ":", "ceiling": "-"}[name])
        axes.annotate(
            name, (x, 1), xycoords=("data", "axes fraction"), xytext=(0, 3 + 9 * height), textcoords="offset points",
            ha="center", fontsize=7,
        )  # fmt: skip


def _style(mark: str) -> tuple[str, str, int]:
    return MARKS.get(mark, ("D", INK, 5))  # another knowledge than the two of the paper


def _mark(axes: Axes, x: float, y: float, mark: str, converged: bool) -> None:
    """One score; hollow where the attacker was still improving."""
    shape, colour, size = _style(mark)
    axes.plot(x, y, shape, color=colour, ms=size, mfc=colour if converged else "none", mew=1, clip_on=False, zorder=3)


def _short(label: str, longest: int) -> str:
    return label if len(label) <= longest else label[: longest - 1] + "\u2026"


def _svg(name: str, alt: str, figure: Figure) -> Markup:
    """The figure as an SVG element of an HTML page: ids beginning with `name`, colours of the page, read as `alt`."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", text)
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub("|".join(_VARIABLES), lambda found: f"var({_VARIABLES[found[0]]})", text)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1))
