"""The pictures of a report, each with `name`: what the ids inside it begin with; on one page, give each its own."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Rectangle

from sottovoce.audio.spectrum import HOP_SAMPLES, SAMPLE_RATE, Spectrum
from sottovoce.redaction import visible
from sottovoce.report.findings import label
from sottovoce.report.wording import short

LONGEST_LABEL = 38
_TICKS = 5
Row = Mapping[str, Any]


def trade(name: str, attribute: Row, task: str, target: Row) -> Markup:
    """The opt-in paper's Figure 3 for one private attribute: target accuracy over attackers' accuracy, both in %."""
    with style():
        figure = Figure(figsize=(2.9, 2.7), layout="constrained")
        axes = figure.subplots()
        reference_lines(axes, {name: attribute[name] for name in ("chance", "floor")})
        axes.axhline(100 * target["original"]["score"], color=INK, lw=0.8, ls="--")
        for kind, attacker, application in trade_points(attribute, target):
            mark(axes, attacker, application, kind, attacker["converged"])
        axes.set(xlim=(-3, 103), ylim=(-3, 103), xlabel="attacker's accuracy, %", box_aspect=1)
        axes.set_ylabel(f"target accuracy, {short(task, 18)}, %", parse_math=False)
        return svg(name, "The application's accuracy over the attackers' accuracy; the table has the values.", figure)


def trade_points(attribute: Row, target: Row) -> list[tuple[str, Row, Row]]:
    """What `trade` draws: (mark, attacker, the target's accuracy on the same sound).

    Of each knowledge the attacker that did best on validation, as the strongest of all is chosen; none where nobody
    had it.
    """
    points = [("original", attribute["ceiling"], target["original"])]
    for knowledge in ("uninformed", "informed", "white-box"):
        rows = [row for row in attribute["attackers"] if row["knowledge"] == knowledge]
        if rows:
            best = max(rows, key=lambda row: (row["validation"], row["score"]))
            points.append((knowledge, best, target["obfuscated"]))
    return points


def ladder(name: str, attribute: Row) -> Markup:
    """Every attacker of one private attribute with its interval, best first; below them those on original sound.

    Attackers that differ only in their knowledge share a line.
    """
    filtered, originals = _lines(attribute["attackers"]), _lines(attribute["originals"])
    lines = [*filtered, *originals]
    with style():
        figure = Figure(figsize=(4.4, 0.9 + 0.2 * len(lines)), layout="constrained")
        axes = figure.subplots()
        reference_lines(axes, {name: attribute[name] for name in ("chance", "floor", "ceiling")})
        for height, rows in enumerate(lines):
            for row, y in zip(rows, height + 0.22 * (np.arange(len(rows)) - (len(rows) - 1) / 2), strict=True):
                kind = "original" if row["input"] == "original" else row["knowledge"]
                mark(axes, row, y, kind, row["converged"])
        if filtered and originals:
            axes.axhline(len(filtered) - 0.5, color=INK, lw=0.4)
        axes.set(xlim=(-2, 102), ylim=(len(lines) - 0.4, -0.6), xlabel="accuracy, %")
        axes.set_yticks(range(len(lines)), [short(label(rows[0]), LONGEST_LABEL) for rows in lines], parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return svg(name, "Accuracy of every attacker with its interval; the table has the values.", figure)


def _lines(attackers: Sequence[Row]) -> list[list[Row]]:
    """Attackers by their label, the most accurate first."""
    lines: dict[str, list[Row]] = {}
    for row in sorted(attackers, key=lambda attacker: -float(attacker["score"])):
        lines.setdefault(label(row), []).append(row)
    return list(lines.values())


def budget(name: str, attribute: Row, axis: Literal["recordings", "steps"]) -> Markup | None:
    """Accuracy on validation over what an attacker was given, the strongest bold; None where nobody was given less."""
    drawn = sorted(budgets(attribute, axis), key=lambda row: row == attribute["strongest"])
    if not drawn:
        return None
    with style():
        figure = Figure(figsize=(2.9, 2.2), layout="constrained")
        axes = figure.subplots()
        for row in drawn:
            colour, strongest = MARKS[row["knowledge"]][1], row == attribute["strongest"]
            x, y = zip(*row["curve"][axis], strict=True)
            axes.plot(
                x, [100 * share for share in y], color=colour, lw=2 if strongest else 0.8, alpha=1 if strongest else 0.7
            )
            if strongest:
                mark(axes, x[-1], 100 * y[-1], row["knowledge"], row["converged"])
        axes.axhline(100 * attribute["chance"], color=INK, lw=0.8, ls="--")
        axes.set(ylim=(-3, 103), ylabel="on validation, %", xlabel=f"training {axis}")
        _doubling(axes, [amount for row in drawn for amount, _ in row["curve"][axis]])
        return svg(name, f"Accuracy on validation over training {axis}; the table has the values.", figure)


def budgets(attribute: Row, axis: Literal["recordings", "steps"]) -> list[Row]:
    """The attackers of which more than one budget is known."""
    return [row for row in attribute["attackers"] if len(row["curve"][axis]) > 1]


def pooled(name: str, attribute: Row) -> Markup:
    """Accuracy of the strongest attacker when what it makes of several utterances of a person is added up."""
    amounts = [point["utterances"] for point in attribute["pooled"]]
    with style():
        figure = Figure(figsize=(2.9, 2.2), layout="constrained")
        axes = figure.subplots()
        colour = MARKS[attribute["strongest"]["knowledge"]][1]
        axes.plot(amounts, [100 * point["score"] for point in attribute["pooled"]], color=colour, lw=1.2)
        for point in attribute["pooled"]:
            mark(axes, point["utterances"], point, attribute["strongest"]["knowledge"])
        axes.set(ylim=(-3, 103), ylabel="accuracy, %", xlabel="recordings of one person")
        _doubling(axes, amounts)
        return svg(name, "Accuracy over recordings of one person put together; the table has the values.", figure)


def _doubling(axes: Axes, amounts: Sequence[int]) -> None:
    """A horizontal axis on which doubling is a step, with ticks at amounts that occur, far enough apart to be read."""
    axes.set_xscale("log", base=2)
    ticks: list[int] = []
    apart = max(1.5, (max(amounts) / min(amounts)) ** (1 / _TICKS))
    for amount in sorted(set(amounts), reverse=True):
        if not ticks or ticks[-1] >= apart * amount:
            ticks.append(amount)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()


# matplotlib must be given real colours: each of these stands for a variable of the style sheet, put in by `svg`.
INK, ORIGINAL, UNINFORMED, INFORMED, WHITE_BOX = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {
    INK: "--soft", ORIGINAL: "--original", UNINFORMED: "--uninformed", INFORMED: "--informed", WHITE_BOX: "--white-box",
}  # fmt: skip
MARKS = {  # shape, colour and size of what is known by its knowledge, or attacks originals
    "original": ("o", ORIGINAL, 6), "uninformed": ("s", UNINFORMED, 5), "informed": ("*", INFORMED, 9),
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


def mark(axes: Axes, x: float | Row, y: float | Row, name: str, converged: bool = True) -> None:
    """One score, hollow where the attacker had not converged; where x or y is a share, in % with its interval."""
    shape, colour, size = MARKS[name]
    along, up = ((at,) * 3 if isinstance(at, float | int) else _percent(at) for at in (x, y))
    axes.plot(along[1:], (up[0], up[0]), color=colour, lw=1.2)
    axes.plot((along[0], along[0]), up[1:], color=colour, lw=1.2)
    fill = colour if converged else "none"
    axes.plot(along[0], up[0], shape, color=colour, ms=size, mfc=fill, mew=1, clip_on=False, zorder=3)


def _percent(share: Row) -> tuple[float, float, float]:
    return 100 * share["score"], 100 * share["low"], 100 * share["high"]


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


MOST_CLASSES = 24  # whose names can be read along two sides of a picture
FEW_CLASSES = 8  # with room for a number in each field
_LONGEST_LABEL = 12
_FAINTEST, _STRONGEST = 0.08, 0.6  # opacity of a field; text on it stays readable on a light and a dark page


def spectrogram(name: str, alt: str, spectrum: Spectrum, brightest: float, longest_frames: int) -> Markup:
    """A log spectrum [161, N]; `brightest` (the top of the colour scale) and `longest_frames` are one exhibit's."""
    per_frame = HOP_SAMPLES / SAMPLE_RATE
    extent = (0.0, spectrum.shape[1] * per_frame, 0.0, SAMPLE_RATE / 2000)
    with style():
        figure = Figure(figsize=(2.9, 2.0), layout="constrained")
        axes = figure.subplots()
        scale: Any = {"cmap": "magma", "vmin": 0.0, "vmax": brightest}
        axes.imshow(spectrum, origin="lower", aspect="auto", extent=extent, interpolation="none", **scale)
        axes.set(xlim=(0, longest_frames * per_frame), xlabel="s", ylabel="kHz", yticks=np.arange(0, 9, 2))
        return svg(name, alt, figure)


def thumbnail(spectrum: Spectrum) -> str:
    """The address of a small picture of a log spectrum [161, N]: a PNG without axes, a quarter of the size."""
    buffer = io.BytesIO()
    small = spectrum[::4, ::4]
    imsave(buffer, small, cmap="magma", vmin=0.0, vmax=max(float(small.max()), 1e-6), origin="lower", format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def confusion(name: str, attribute: Mapping[str, Any]) -> Markup:
    """Of the recordings of each class (row), the share that the strongest attacker takes for each class (column)."""
    counts = np.array(attribute["confusion"], dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    classes = len(counts)
    few = classes <= FEW_CLASSES
    labels = [short(label, _LONGEST_LABEL) for label in attribute["class_names"]]
    fields = [(row, column) for row in range(classes) for column in range(classes) if shares[row, column] > 0]
    with style():
        figure = Figure(figsize=(2.9, 2.7) if few else (4.4, 4.2), layout="constrained")
        axes = figure.subplots()
        opacity = [_FAINTEST + (_STRONGEST - _FAINTEST) * shares[field] for field in fields]
        squares = [Rectangle((column - 0.46, row - 0.46), 0.92, 0.92) for row, column in fields]
        axes.add_collection(PatchCollection(squares, facecolors=[to_rgba(INFORMED, alpha) for alpha in opacity], lw=0))
        if few:
            for row, column in fields:
                share = f"{100 * shares[row, column]:.0f}"
                axes.text(column, row, share, color=ORIGINAL, ha="center", va="center", fontsize=7)
        axes.set(
            xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), xlabel="taken for", ylabel="is", aspect="equal"
        )
        size = 8 if few else 6.5
        axes.set_xticks(range(classes), labels, rotation=90, fontsize=size, parse_math=False)
        axes.set_yticks(range(classes), labels, fontsize=size, parse_math=False)
        axes.tick_params(length=0)
        return svg(name, "Which class the strongest attacker takes for which; the table has the values.", figure)
