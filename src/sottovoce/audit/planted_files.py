"""Leaks of every kind that can be planted in a recording, beside a tone in its spectrum, at strengths that are stated.

They are planted in what leaves the system that is audited, so that an audit shows with its own sounds what its
attackers would find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from types import MappingProxyType

import numpy as np
import soxr
from numpy.typing import NDArray

from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.audit.leaving import BYTES, FORM, LEVELS, LOWEST, ORDER, Leaving

CLASSES = 4
LONGEST_S = 5.12
_TONE_DB = -15.0  # against the sound
_TONES_HZ = (700.0, 1300.0, 2100.0, 3300.0)
_HIGH_HZ = (9000.0, 10700.0, 12500.0, 14500.0)
_WIDE = 48000
_ORDERS = tuple(permutations(range(4)))[:: 24 // CLASSES]  # of four parts, one for each class
_CHUNK = "chunk 'planted'"
_FALLING = (1.0, 0.5, 0.25, 0.125)


@dataclass(frozen=True)
class Kind:
    """A way to hide a label: `plant` does it, `property` is where attackers look, `strength` says how, in words."""

    plant: Callable[[Leaving, int], Leaving]
    property: str
    strength: str


def _tone(frequency_hz: float, samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """A tone [T] 15 dB below the sound `samples` [T]."""
    level = np.sqrt(np.mean(np.square(samples))) * 10.0 ** (_TONE_DB / 20.0) * np.sqrt(2.0)
    return np.asarray(max(level, 1e-4) * np.sin(2.0 * np.pi * frequency_hz * np.arange(len(samples)) / rate))


def _mono(leaving: Leaving) -> NDArray[np.float64]:
    return np.asarray(leaving.samples[: round(LONGEST_S * leaving.sample_rate)].mean(axis=1))


def _difference(leaving: Leaving, label: int) -> Leaving:
    mono = _mono(leaving)
    tone = _tone(_TONES_HZ[label], mono, leaving.sample_rate)
    return replace(leaving, samples=np.stack([mono + tone, mono - tone], axis=1))


def _high(leaving: Leaving, label: int) -> Leaving:
    wide = soxr.resample(_mono(leaving), leaving.sample_rate, _WIDE)
    return replace(leaving, samples=(wide + _tone(_HIGH_HZ[label], wide, _WIDE))[:, None], sample_rate=_WIDE)


def _lowest_bit(leaving: Leaving, label: int) -> Leaving:
    whole = np.rint(_mono(leaving) * 32768.0).astype(np.int64)
    bit = _tone(_TONES_HZ[label], np.ones(len(whole)), SAMPLE_RATE) > 0.0
    return replace(leaving, samples=((whole & ~1) | bit)[:, None] / 32768.0)


def _bytes(leaving: Leaving, label: int) -> Leaving:
    return replace(leaving, beside={**leaving.beside, _CHUNK: bytes([label]) * 16})


def _length(leaving: Leaving, label: int) -> Leaving:
    kept = max(CLASSES, len(leaving.samples) // CLASSES * CLASSES) - CLASSES + label
    return replace(leaving, samples=leaving.samples[: max(1, kept)])


def _order(leaving: Leaving, label: int) -> Leaving:
    mono, tones = _mono(leaving), []
    for place, part in zip(_ORDERS[label], np.array_split(mono, 4), strict=True):
        tones.append(_tone(_TONES_HZ[place], mono, leaving.sample_rate)[: len(part)])
    return replace(leaving, samples=(mono + np.concatenate(tones))[:, None])


def _level(leaving: Leaving, label: int) -> Leaving:
    parts = np.array_split(_mono(leaving), 4)
    levels = [max(1e-4, float(np.sqrt(np.mean(np.square(part))))) for part in parts]  # which are taken away first
    planted = zip(_ORDERS[label], parts, levels, strict=True)
    scaled = [0.1 * _FALLING[place] * part / level for place, part, level in planted]
    return replace(leaving, samples=np.concatenate(scaled)[:, None])


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "difference of two channels": Kind(
            _difference, "channel 1 minus channel 2", "a tone 15 dB below the sound, with opposite signs"
        ),
        "sound above 8 kHz": Kind(_high, "8 to 16 kHz", "a tone 15 dB below the sound, at 9 to 14.5 kHz"),
        "lowest bit": Kind(_lowest_bit, LOWEST, "the lowest of 16 bits of every sample"),
        "bytes beside the sound": Kind(_bytes, BYTES + _CHUNK, "16 equal bytes in a chunk of their own"),
        "exact length": Kind(_length, FORM, "the length modulo 4"),
        "order of parts": Kind(_order, ORDER, "the order of four tones, each 15 dB below the sound"),
        "levels of parts": Kind(_level, LEVELS, "the order of four parts at levels of 0, -6, -12 and -18 dB"),
    }
)
