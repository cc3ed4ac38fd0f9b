"""One channel from many: their mean, but for the times when they cancel each other.

A microphone with one wire crossed gives channels of opposite phase, whose mean is silence. So the sound is looked at in
blocks of 50 ms, by their position in the file: where the mean has less than a tenth of the power that it would have if
the channels had nothing to do with each other, the first of the strong channels takes its place. What lies below speech
(hum, an offset) does not count. Each block's choice depends on that block alone, and one choice fades into the next
over a block, so that neither the pieces in which a file is read nor where the reading starts change a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import Wave

_BLOCK_S = 0.05
_LEAST_SHARE = 0.1  # of the power that the mean of unrelated channels has
_STRONG = 0.5  # of the power of the strongest channel

Channels = NDArray[np.float32]  # [T, C]


def mixed(read: Callable[[int], Iterable[Channels]], start: int, sample_rate: int) -> Iterator[Wave]:
    """One channel of a sound from sample `start` on, in pieces [T].

    `read` gives the channels from a sample on, in pieces [T, C].
    """
    block = max(2, round(_BLOCK_S * sample_rate))
    first = max(0, start // block - 1) * block  # a block before, from which the first one fades
    skipped = start - first
    before: NDArray[np.float32] | None = None
    for piece in _whole_blocks(read(first), block):
        if piece.shape[1] == 1:
            wav: Wave = piece.mean(axis=1)
        else:
            weights = _weights(piece, block)
            faded = np.concatenate([weights[:1] if before is None else before, weights])
            before = weights[-1:]
            wav = _faded(piece, faded, block)
        if skipped < len(wav):
            yield wav[skipped:]
        skipped = max(0, skipped - len(wav))


def _whole_blocks(pieces: Iterable[Channels], block: int) -> Iterator[Channels]:
    """The same sound in pieces of whole blocks, but for the last one."""
    left: Channels | None = None
    for piece in pieces:
        joined = piece if left is None else np.concatenate([left, piece])
        whole = len(joined) - len(joined) % block
        if whole:
            yield joined[:whole]
        left = joined[whole:]
    if left is not None and len(left):
        yield left


def _weights(piece: Channels, block: int) -> NDArray[np.float32]:
    """How much each channel counts in each block, [B, C]: all alike, or one alone."""
    count = piece.shape[1]
    filled = np.pad(piece, ((0, -len(piece) % block), (0, 0)), mode="edge").reshape(-1, block, count)
    change = np.diff(filled, axis=1)  # of little power where a sound is low, such as hum
    power = np.einsum("btc,btc->bc", change, change)
    added = change @ np.ones(count, np.float32)  # `count` times the mean
    cancels = np.einsum("bt,bt->b", added, added) < _LEAST_SHARE * power.sum(axis=1)
    strong = (power >= _STRONG * power.max(axis=1, keepdims=True)).argmax(axis=1)
    alike = np.full((len(power), count), np.float32(1.0 / count))
    return np.where(cancels[:, None], np.eye(count, dtype=np.float32)[strong], alike)


def _faded(piece: Channels, weights: NDArray[np.float32], block: int) -> Wave:
    """The channels [T, C], weighted: block b goes from the weights [b] to [b + 1] of [B + 1, C]."""
    wav: Wave = piece.mean(axis=1)
    fade = ((np.arange(block, dtype=np.float32) + np.float32(0.5)) / np.float32(block))[:, None]
    alone = weights.max(axis=1) > np.float32(1.0 / piece.shape[1])
    for b in np.flatnonzero(alone[:-1] | alone[1:]):
        part = piece[b * block : (b + 1) * block]
        ramp = weights[b] + fade[: len(part)] * (weights[b + 1] - weights[b])
        wav[b * block : (b + 1) * block] = (part * ramp).sum(axis=1)
    return wav
