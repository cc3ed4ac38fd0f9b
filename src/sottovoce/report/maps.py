"""Pictures of whole surfaces: the spectrogram of a clip, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sottovoce.audio.spectrum import HOP_SAMPLES, SAMPLE_RATE, Spectrum
from sottovoce.report.canvas import INFORMED, ORIGINAL, style, svg
from sottovoce.report.wording import short

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


def confusion(name: str, attribute: Mapping[str, Any]) -> Markup:
    """Of the recordings of each class (row), the share that the worst attacker takes for each class (column)."""
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
        return svg(name, "Which class the worst attacker takes for which; the table has the values.", figure)
