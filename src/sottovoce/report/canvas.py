"""What all pictures share: figures become SVG that stands inside a page and takes its colours from its style sheet."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sottovoce.redaction import visible

# matplotlib must be given real colours: each of these stands for a variable of the style sheet, put in by `svg`.
INK, ORIGINAL, IGNORANT, INFORMED, WHITE_BOX = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {
    INK: "--soft", ORIGINAL: "--original", IGNORANT: "--ignorant", INFORMED: "--informed", WHITE_BOX: "--white-box",
}  # fmt: skip
MARKS = {  # shape, colour and size of what is known by its knowledge, or attacks originals
    "original": ("o", ORIGINAL, 6), "ignorant": ("s", IGNORANT, 5), "informed": ("*", INFORMED, 9),
    "white-box": ("D", WHITE_BOX, 5),
}  # fmt: skip

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


def style() -> AbstractContextManager[None]:
    """Figures are made, and turned into SVG, inside of this."""
    return matplotlib.rc_context(_STYLE)


def mark(axes: Axes, x: float, y: float, name: str, converged: bool = True) -> None:
    """One score; hollow where the attacker had not converged."""
    shape, colour, size = MARKS[name]
    axes.plot(x, y, shape, color=colour, ms=size, mfc=colour if converged else "none", mew=1, clip_on=False, zorder=3)


def reference_lines(axes: Axes, references: Mapping[str, Any]) -> None:
    """Vertical lines, each named on a line of its own above the axes: what they mark often coincides."""
    for height, (name, reference) in enumerate(references.items()):
        x = 100 * (reference if name == "chance" else reference["score"])
        axes.axvline(x, color=INK, lw=0.8, ls={"chance": "--", "floor": ":", "ceiling": "-"}[name])
        axes.annotate(
            name, (x, 1), xycoords=("data", "axes fraction"), xytext=(0, 3 + 9 * height), textcoords="offset points",
            ha="center", fontsize=7,
        )  # fmt: skip


def svg(name: str, alt: str, figure: Figure) -> Markup:
    """The figure as an SVG element of an HTML page: ids beginning with `name`, colours of the page, read as `alt`."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # text stays text: whoever reads the page has the letters
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", text)
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub("|".join(_VARIABLES), lambda found: f"var({_VARIABLES[found[0]]})", text)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{escape(visible(alt))}" ', 1))
