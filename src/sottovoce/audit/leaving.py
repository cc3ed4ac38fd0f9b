"""What leaves a system for one recording, whole: every channel at its own rate, exact samples, and bytes beside them.

An application that is given a file gets more than a mono signal at 16 kHz. Each property that could carry something is
described here by numbers of its own, which attackers read one by one:

    samples [T, C] at any rate, bytes --described--> {"lowest bit": [D], "order and level": [D], "exact form": [D], ...}
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import soundfile
from numpy.typing import ArrayLike, NDArray

from sottovoce.attack.attacker import Array
from sottovoce.audio import io as sound
from sottovoce.audio.container import beside_sound
from sottovoce.audio.mel import filterbank
from sottovoce.audio.segment import cut, full_band
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave

ORDER, FORM, FIRST, LOWEST, BYTES = "order and level", "exact form", "first samples", "lowest bit", "bytes: "
LEVELS, SAMPLES = "levels of parts", "samples"
STEPS, BANDS = 64, 20  # of the course of a recording
FIRST_SAMPLES = 4096
_FRAME_S = 0.032
_DIVISORS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 160)  # whose residues of the exact length may tell something
_MOST_CHANNELS = 6
_FULL_SCALE = 32768.0  # of 16 bits
_FAINTEST_DB = -120.0
_MAGIC = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"ID3")
_LEAST_BYTES = 2048  # beside the sound, that can be a sound themselves
_MOST_SAMPLES = 60 * SAMPLE_RATE  # of that


@dataclass(frozen=True)
class Leaving:
    """Samples [T, C] at `sample_rate` Hz with full scale 1, `beside` them the bytes of the file that are no sound.

    `form` are further numbers that show without a look at the content, such as the size of the file.
    """

    samples: NDArray[np.float64]
    sample_rate: int = SAMPLE_RATE
    beside: Mapping[str, bytes] = field(default_factory=dict)
    form: tuple[float, ...] = (0.0, 0.0)


def of_sound(wav: Wave) -> Leaving:
    """One channel [T] at 16 kHz that leaves by itself, without a file."""
    return Leaving(wav[:, None].astype(np.float64))


def of_file(path: Path) -> Leaving:
    """A whole sound file."""
    samples, rate, kind = sound.native(path)
    number = float(crc32(kind.encode()) % 1000)  # any number for each kind
    return Leaving(np.nan_to_num(samples), rate, beside_sound(path), (float(path.stat().st_size), number))


def described(leaving: Leaving, step_s: float, only: Sequence[str] = ()) -> dict[str, Array]:
    """A vector [D] for each property of what leaves, or for those of `only`; a frame of its course lasts `step_s`."""
    found = signals(leaving).items()
    vectors = {name: _spectral(signal) for name, signal in found if not only or name in only}
    vectors |= {ORDER: course(leaving, step_s), LEVELS: _levels(leaving.samples)}
    vectors |= {FIRST: _first(leaving.samples), FORM: _form(leaving)}
    for name, content in leaving.beside.items():
        counts = np.bincount(np.frombuffer(content, np.uint8), minlength=256)
        vectors[f"{BYTES}{name}"] = np.append(counts / max(1, len(content)), np.log1p(len(content))).astype(np.float32)
    return {name: vector for name, vector in vectors.items() if not only or name in only}


def signals(leaving: Leaving) -> dict[str, Wave]:
    """Signals [T'] that are in what leaves beside its mono mix at 16 kHz, each to be looked at as if at 16 kHz."""
    samples, rate = leaving.samples, leaving.sample_rate
    channels = [*samples.T[:_MOST_CHANNELS]]
    whole = {f"channel {i}": each for i, each in enumerate(channels, start=1)} if len(channels) > 1 else {}
    for (i, one), (j, other) in combinations(enumerate(channels, start=1), 2):
        whole[f"channel {i} minus channel {j}"] = one - other
    found: dict[str, NDArray[Any]] = {name: _band(signal, rate, 0) for name, signal in whole.items()}
    for name, signal in {"": channels[0], **whole}.items():
        for band in range(1, -(-rate // SAMPLE_RATE)):
            edges = f"{band * SAMPLE_RATE // 2000} to {(band + 1) * SAMPLE_RATE // 2000} kHz"
            found[f"{edges} of {name}" if name else edges] = _band(signal, rate, band)
    scaled = samples[:, 0] * _FULL_SCALE
    whole_numbers = np.rint(scaled)
    for place, name in enumerate((LOWEST, "second lowest bit", "third lowest bit")):
        found[name] = (whole_numbers.astype(np.int64) >> place & 1) * 2.0 - 1.0
    if (scaled != whole_numbers).any():
        found["below 16 bits"] = scaled - whole_numbers
    for name, content in islice(_hidden(leaving.beside), 2):
        found[name] = content
    return {name: signal.astype(np.float32) for name, signal in found.items() if len(signal)}


def course(leaving: Leaving, step_s: float) -> Array:
    """Levels in dB, neither normalised nor trimmed, of 20 mel bands in each of 64 steps from the start, [20 * 64]."""
    mono = leaving.samples.mean(axis=1)
    if not mono.any():  # channels that cancel each other
        mono = leaving.samples[:, 0]
    frame = round(_FRAME_S * leaving.sample_rate)
    step = frame * max(1, math.ceil(step_s / _FRAME_S - 1e-6))
    padded = np.pad(mono[: STEPS * step], (0, max(0, STEPS * step - len(mono))))
    frames = padded.reshape(STEPS, -1, frame)
    power = (np.abs(np.fft.rfft(frames * np.hanning(frame), axis=2)) ** 2).mean(axis=1) / frame
    bands = power @ filterbank(BANDS, frame, leaving.sample_rate).T
    return _db(bands.T).reshape(-1).astype(np.float32)


def _spectral(signal: Wave) -> Array:
    """Level, and mean, deviation and mean step of each bin of the spectrum of a signal [T], [1 + 3 * 161]."""
    spectra = full_band(cut(signal))
    frames = spectra.swapaxes(0, 1).reshape(spectra.shape[1], -1)
    step = np.abs(np.diff(spectra, axis=2)).mean(axis=(0, 2))
    level = _db(np.mean(np.square(signal, dtype=np.float64)))
    return np.concatenate([[level], frames.mean(axis=1), frames.std(axis=1), step]).astype(np.float32)


def _levels(samples: NDArray[np.float64]) -> Array:
    """Levels in dB of 4, 8 and 16 equal parts of the first channel, [28]."""
    parts = [part for count in (4, 8, 16) for part in np.array_split(samples[:, 0], count)]
    return _db([float(np.square(part).mean()) if len(part) else 0.0 for part in parts]).astype(np.float32)


def _first(samples: NDArray[np.float64]) -> Array:
    """The first samples of the first two channels, [2 * 4096]."""
    kept = np.zeros((2, FIRST_SAMPLES), np.float32)
    begin = samples[:FIRST_SAMPLES, :2].T
    kept[: len(begin), : begin.shape[1]] = begin
    return kept.reshape(-1)


def _form(leaving: Leaving) -> Array:
    """Exact length with its residues, rate, channels, size and kind of the file, and moments of the samples."""
    length = len(leaving.samples)
    numbers = [np.log(max(1, length)), leaving.sample_rate / 1000.0, leaving.samples.shape[1], *leaving.form]
    numbers.append(float(sum(map(len, leaving.beside.values()))))
    levels = leaving.samples[:, 0]
    numbers += [levels.mean() * _FULL_SCALE, levels.std(), np.abs(levels).max(), (levels == 0.0).mean()]
    numbers.append(len(np.unique(levels)) / length)
    residues = [np.eye(divisor)[length % divisor] for divisor in _DIVISORS[:-1]]
    return np.concatenate([numbers, *residues, [length % _DIVISORS[-1]]]).astype(np.float32)


def _band(signal: NDArray[np.float64], rate: int, band: int) -> NDArray[np.float64]:
    """The `band`-th 8 kHz of a signal [T], moved down to 0 to 8 kHz and sampled at 16 kHz."""
    if rate <= SAMPLE_RATE and band == 0:
        return signal
    spectrum = np.fft.rfft(signal)
    wide = round(len(signal) * SAMPLE_RATE / 2 / rate)  # bins of 8 kHz
    part = spectrum[band * wide : (band + 1) * wide + 1]
    moved = np.zeros(wide + 1, complex)
    moved[: len(part)] = part
    return np.fft.irfft(moved, 2 * wide) * (2 * wide / len(signal)) if wide else signal[:0]


def _hidden(beside: Mapping[str, bytes]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """What the bytes beside the sound give when they are read as a sound file, and as samples of 16 bits."""
    content = b"".join(beside.values())
    if len(content) < _LEAST_BYTES:
        return
    for start in sorted(place for magic in _MAGIC if (place := content.find(magic)) >= 0):
        try:
            samples, _ = soundfile.read(io.BytesIO(content[start:]), _MOST_SAMPLES, dtype="float64", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError):
            continue
        yield "a sound among the bytes beside sound", samples[:, 0]
        break
    yield "bytes beside sound as samples", np.frombuffer(content[: len(content) // 2 * 2], "<i2") / _FULL_SCALE


def _db(power: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(10.0 * np.log10(np.maximum(power, 10.0 ** (_FAINTEST_DB / 10.0))))


def stacked(each: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The vectors of all recordings by property, [U, D]; one that some recordings lack is zero there."""
    sizes = {name: len(vector) for vectors in each for name, vector in vectors.items()}
    nothing = {name: np.zeros(size, np.float32) for name, size in sizes.items()}
    return {name: np.stack([vectors.get(name, nothing[name]) for vectors in each]) for name in sizes}
