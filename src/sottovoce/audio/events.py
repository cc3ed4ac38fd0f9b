"""Synthesised sounds of events at home: a dog, rain, an alarm; computed, nobody's recording (numpy only).

Each sound lasts 1.28 s and is circular: what goes on past its end goes on at its beginning, so it can be repeated end
to end, from any sample on. It is a sum of layers: tones with harmonics that glide, bands of noise, and clicks, which
start at given times. The same name gives the same sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave

Array = NDArray[np.float64]

_HZ = np.fft.rfftfreq(SEGMENT_SAMPLES, 1.0 / SAMPLE_RATE)
_HIGHEST_HZ = 7600.0  # of a partial
_PEAK = 0.6


@dataclass(frozen=True)
class Envelope:
    """When a layer sounds: at `onsets` (s), for `length` (s), rising in `attack` (s), falling by `decay` (1/s).

    It is modulated `rate` times in the 1.28 s by `depth`, 0 to 1.
    """

    gain: float = 1.0
    onsets: tuple[float, ...] = (0.0,)
    length: float = 1.28
    attack: float = 0.01
    decay: float = 0.0
    rate: float = 0.0
    depth: float = 0.0

    def shape(self) -> Array:
        """The amplitude of one onset [T]."""
        time = np.arange(max(2, min(SEGMENT_SAMPLES, round(self.length * SAMPLE_RATE)))) / SAMPLE_RATE
        rise = np.minimum(1.0, time / max(self.attack, 1e-4))
        fall = np.minimum(1.0, (time[-1] - time) / max(self.attack, 1e-3))
        found: Array = rise * fall * np.exp(-self.decay * time)
        return found

    def placed(self, sounds: Sequence[Array]) -> Array:
        """Sounds, one for each onset, on the circle [20480], with the modulation."""
        whole = np.zeros(SEGMENT_SAMPLES)
        for onset, sound in zip(self.onsets, sounds, strict=True):
            _add(whole, sound, onset)
        return self.modulated(whole)

    def modulated(self, whole: Array) -> Array:
        """What lies on the circle [20480], at its gain and with the modulation."""
        phase = 2.0 * np.pi * round(self.rate) * np.arange(SEGMENT_SAMPLES) / SEGMENT_SAMPLES
        level = np.sqrt(np.mean(np.square(whole))) or 1.0
        return self.gain * whole / level * (1.0 - self.depth * 0.5 * (1.0 - np.cos(phase)))


@dataclass(frozen=True)
class Tone(Envelope):
    """A tone whose pitch glides over `hertz`, with `partials` that fall by `tilt` dB per octave, shaped by `formants`.

    `vibrato` is its relative depth, 6 times a second; `rough` how irregular the pitch is.
    """

    hertz: tuple[float, ...] = (440.0,)
    partials: int = 1
    tilt: float = -6.0
    formants: tuple[float, ...] = ()
    vibrato: float = 0.0
    rough: float = 0.0

    def sound(self, rng: np.random.Generator) -> Array:
        """[20480]."""
        shape = self.shape()
        time = np.arange(len(shape)) / SAMPLE_RATE
        pitch = np.interp(np.linspace(0.0, 1.0, len(shape)), np.linspace(0.0, 1.0, len(self.hertz)), self.hertz)
        pitch *= 1.0 + self.vibrato * np.sin(2.0 * np.pi * 6.0 * time)
        pitch *= 1.0 + self.rough * np.interp(time, np.arange(0.0, 1.3, 0.004), rng.standard_normal(325))
        phase = 2.0 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
        sound = np.zeros(len(shape))
        for number in range(1, self.partials + 1):
            partial = number * pitch
            gain = number ** (self.tilt / 6.02) * _formants(partial, self.formants) * (partial < _HIGHEST_HZ)
            sound += gain * np.sin(number * phase)
        return self.placed([sound * shape] * len(self.onsets))


@dataclass(frozen=True)
class Noise(Envelope):
    """Noise between `low` and `high` (Hz) that falls by `tilt` dB per octave."""

    low: float = 100.0
    high: float = 7000.0
    tilt: float = 0.0
    formants: tuple[float, ...] = ()

    def sound(self, rng: np.random.Generator) -> Array:
        """[20480]."""
        hertz = np.maximum(_HZ, 1.0)
        band = 1.0 / np.sqrt((1.0 + (self.low / hertz) ** 6) * (1.0 + (hertz / self.high) ** 6))
        band *= (hertz / 1000.0) ** (self.tilt / 6.02) * _formants(hertz, self.formants)
        noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(SEGMENT_SAMPLES)) * band)
        if self.length >= SEGMENT_SAMPLES / SAMPLE_RATE:
            return self.placed([noise] + [np.zeros(2)] * (len(self.onsets) - 1))
        shape = self.shape()
        return self.placed([np.roll(noise, rng.integers(len(noise)))[: len(shape)] * shape for _ in self.onsets])


@dataclass(frozen=True)
class Clicks(Envelope):
    """`count` damped resonances between `low` and `high` (Hz), dying in `ring` (s), `spread` in level (nepers).

    They are spread over the `length` after each onset, the denser the earlier where there is a `decay`.
    """

    count: float = 50.0
    low: float = 500.0
    high: float = 6000.0
    ring: float = 0.005
    spread: float = 1.0

    def sound(self, rng: np.random.Generator) -> Array:
        """[20480]."""
        whole = np.zeros(SEGMENT_SAMPLES)
        time = np.arange(min(SEGMENT_SAMPLES, round(7.0 * self.ring * SAMPLE_RATE) + 2)) / SAMPLE_RATE
        for onset in self.onsets:
            for _ in range(round(self.count)):
                hertz = np.exp(rng.uniform(np.log(self.low), np.log(self.high)))
                late = rng.uniform() ** (1.0 + self.decay) * self.length
                click = np.sin(2.0 * np.pi * hertz * time + rng.uniform(0.0, 6.28)) * np.exp(-time / self.ring)
                _add(whole, np.exp(self.spread * rng.standard_normal() - self.decay * late) * click, onset + late)
        return self.modulated(whole)


Layer = Tone | Noise | Clicks


def synthesise(layers: Sequence[Layer]) -> Wave:
    """The sound [20480] of layers, whose highest peak is 0.6 of full scale."""
    sound = np.sum([layer.sound(np.random.default_rng([0, number])) for number, layer in enumerate(layers)], axis=0)
    found: Wave = (_PEAK / np.abs(sound).max() * sound).astype(np.float32)
    return found


def _add(whole: Array, sound: Array, onset: float) -> None:
    """Add a sound at `onset` (s) to what lies on the circle; it may go around."""
    at = (round(onset * SAMPLE_RATE) + np.arange(len(sound))) % SEGMENT_SAMPLES
    whole[at] += sound


def _formants(hertz: Array, formants: tuple[float, ...]) -> Array:
    """Gains at frequencies of any shape: resonances 20 % wide at `formants` (Hz) above a floor; 1 without any."""
    if not formants:
        return np.ones_like(hertz)
    peaks = [1.0 / (1.0 + ((hertz - centre) / (0.2 * centre)) ** 2) for centre in formants]
    found: Array = 0.05 + np.sum(peaks, axis=0)
    return found
