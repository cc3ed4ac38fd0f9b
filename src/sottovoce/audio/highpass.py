"""What lies below speech, taken out: a constant offset, mains hum, rumble (numpy only).

From each segment the smooth curve is subtracted that fits it best: of all splines of degree 5 with a knot every 5 ms,
the one with the least squared distance. It follows whatever varies slowly, up to both ends of the segment, where a
filter that needs samples from outside would not: a constant is removed wholly, 50 Hz by 57 dB, 60 Hz by 44 dB; 100 Hz
loses 6 dB, and from 110 Hz on nothing is lost.

    segment [20480] -- products with the pieces of a B-spline --> [261] -- inverse Gram matrix --> weights --> curve
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import SEGMENT_SAMPLES, Wave

KNOT_SAMPLES = 80
CELLS = SEGMENT_SAMPLES // KNOT_SAMPLES  # between knots
DEGREE = 5
_LARGEST = np.float32(1e15)  # samples beyond it are damage, whose sums would overflow


def high_pass(segments: Wave) -> Wave:
    """Segments [S, 20480] at 16 kHz without what is below speech -> the same shape."""
    pieces, inverse = spline()
    segments = np.clip(segments, -_LARGEST, _LARGEST)
    cells = segments.reshape(len(segments), CELLS, KNOT_SAMPLES) @ pieces.T  # [S, cells, DEGREE + 1]
    products = np.zeros((len(segments), CELLS + DEGREE), np.float32)
    for piece in range(DEGREE + 1):
        products[:, piece : piece + CELLS] += cells[:, :, piece]
    weights = (products[:, None] @ inverse)[:, 0]  # each by itself, so that bits do not depend on the batch
    under = np.stack([weights[:, piece : piece + CELLS] for piece in range(DEGREE + 1)], axis=2)
    return np.asarray(segments - (under @ pieces).reshape(segments.shape), np.float32)


@cache
def spline() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The pieces [6, 80] of the B-splines over a cell, and the inverse [261, 261] of the B-splines' Gram matrix.

    A B-spline of degree d at x = j + t, in the j-th cell under it (de Boor 1972):
    b_d(x) = x / d b_{d-1}(x) + (d + 1 - x) / d b_{d-1}(x - 1).
    With B-splines b_j the curve of least squares is the sum of w_j b_j for which w = G^-1 p, where p_j = <b_j, x> and
    G_jk = <b_j, b_k>.
    """
    at = (np.arange(KNOT_SAMPLES) + 0.5) / KNOT_SAMPLES
    shape, nothing = [np.ones(KNOT_SAMPLES)], np.zeros(KNOT_SAMPLES)
    for degree in range(1, DEGREE + 1):
        below = [nothing, *shape, nothing]
        shape = [
            ((cell + at) * below[cell + 1] + (degree + 1 - cell - at) * below[cell]) / degree
            for cell in range(degree + 1)
        ]
    pieces = np.stack(shape[::-1])  # over one cell the spline that began last is in its first piece
    overlap = pieces @ pieces.T
    gram = np.zeros((CELLS + DEGREE, CELLS + DEGREE))
    for cell in range(CELLS):
        gram[cell : cell + DEGREE + 1, cell : cell + DEGREE + 1] += overlap
    return pieces.astype(np.float32), np.linalg.inv(gram).astype(np.float32)
