"""What the figures of experiments share."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


def svg(figure: Figure) -> bytes:
    """A figure as SVG, without the date: the same results give the same picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
