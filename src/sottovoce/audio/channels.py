"""One channel from many: their mean, but for the times when they cancel each other.

A microphone with one wire crossed gives channels of opposite phase, whose mean is silence. So the sound is looked at in
blocks of 50 ms, by their position in the file: where the mean has less than a tenth of the power that it would have if
the channels had nothing to do with each other, the first of the strong channels takes its place. This is decided twice,
on all of the sound, and on the low part of speech alone, since either may cancel without the other. What lies below
speech (hum, an offset) does not count. Each block's choice depends on that block alone, and one choice fades into the
next over a block, so that neither the pieces in which a file is read nor where the reading starts change a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import Wave

_BLOCK_S = 0.05
_LEAST_SHARE = 0.1  # of the power that the mean of unrelated channels has
_STRONG = 0.5  # of the power of the strongest channel
_LOW_HZ = (120, 900)  # the low part of speech: above hum, and where vowels have most of their power
_LEAST_LOW = 0.01  # of all power: where there is less of it, no voice is lost with it

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
    low_power, low_cancels = _low(filled)
    power = np.where((low_cancels & ~cancels)[:, None], low_power, power)
    cancels |= low_cancels
    strong = (power >= _STRONG * power.max(axis=1, keepdims=True)).argmax(axis=1)
    alike = np.full((len(power), count), np.float32(1.0 / count))
    return np.where(cancels[:, None], np.eye(count, dtype=np.float32)[strong], alike)


def _low(filled: Channels) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The power of the low part of speech in blocks [B, T, C], [B, C], and whether the mean loses it, [B]."""
    window = np.hanning(filled.shape[1] + 1)[:-1].astype(np.float32)  # keeps hum from spreading into it
    spectrum = np.fft.rfft(filled * window[:, None], axis=1)
    first, last = (round(hz * _BLOCK_S) for hz in _LOW_HZ)
    power = np.abs(spectrum[:, first:]) ** 2
    low = power[:, : last + 1 - first].sum(axis=1)
    added = (np.abs(spectrum[:, first : last + 1].sum(axis=2)) ** 2).sum(axis=1)
    has_voice = low.sum(axis=1) > _LEAST_LOW * power.sum(axis=(1, 2))
    return low, has_voice & (added < _LEAST_SHARE * low.sum(axis=1))


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
