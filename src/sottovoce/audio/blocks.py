"""Sound that comes in blocks of any length: at another rate, or in blocks of one length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from sottovoce.audio.spectrum import Wave


def resampled(pieces: Iterable[Wave], from_hz: int, to_hz: int) -> Iterator[Wave]:
    """The same sound at `to_hz`, in pieces, some of them empty."""
    if from_hz == to_hz:
        yield from pieces
        return
    resampler = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
    for piece in pieces:
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def regrouped(blocks: Iterable[Wave], size: int) -> Iterator[Wave]:
    """The same sound in blocks [size], the last one shorter; none is empty."""
    held = [np.zeros(0, np.float32)]
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count >= size:
            joined = np.concatenate(held)
            whole = count - count % size
            yield from (joined[start : start + size] for start in range(0, whole, size))
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)
