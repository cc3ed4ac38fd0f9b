"""Magnitude spectrogram to sound, with a phase of its own: fast Griffin-Lim (numpy only).

Perraudin, Balazs and Søndergaard 2013: alternate between the spectrograms that have the given magnitude and those that
some sound has, and overshoot by a momentum. Nothing but the magnitude and a seed goes in, so the phase of whatever the
magnitude was computed from cannot come out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import BINS, HOP_SAMPLES, Spectrum, Wave, istft, stft

# Spectral convergence on a minute of LibriSpeech: 8 steps -18 dB, 16 -21 dB, 24 -23 dB, 32 -25 dB, 64 -29 dB, at a cost
# that grows in proportion: twice the steps of 24 would give 4 dB more.
ITERATIONS = 24
OVERLAP_FRAMES = 8  # 80 ms, over which two pieces are cross-faded
MARGIN_SAMPLES = HOP_SAMPLES // 2  # 5 ms, at both ends of a sound that is made alone

_MOMENTUM = np.float32(0.99)
_SMALLEST = np.float32(1e-12)


def to_sound(magnitude: Spectrum, iterations: int = ITERATIONS, seed: int = 0, before: Wave | None = None) -> Wave:
    """Sound [160 N] whose `stft` has about the given `magnitude` [161, N].

    The phase starts at random, by `seed`; that of the first T0 / 160 frames as in `before` [T0], a sound already made
    of them. Equal arguments give equal samples.
    """
    target = np.ascontiguousarray(magnitude.T, dtype=np.float32)
    angle = np.random.default_rng(seed).random(target.shape, dtype=np.float32) * np.float32(2.0 * np.pi)
    guess = np.empty(target.shape, np.complex64)
    np.cos(angle, out=guess.real)
    np.sin(angle, out=guess.imag)
    if before is not None:
        known = stft(before).T
        guess[: len(known)] = known
    _impose(target, guess)
    previous = _consistent(guess)
    guess = previous.copy()
    for _ in range(iterations):
        _impose(target, guess)
        consistent = _consistent(guess)
        np.subtract(consistent, previous, out=guess)
        guess.view(np.float32)[:] *= _MOMENTUM  # as real numbers, which is faster
        guess += consistent
        previous = consistent
    _impose(target, guess)
    return istft(guess.T)


class PhaseContinuation:
    """The sound of a spectrogram of any length that comes in pieces, each of which takes up the phase of the last.

    The samples depend on how the spectrogram was cut, so cut it by its position. Pieces are cross-faded over
    `OVERLAP_FRAMES`, which are held back.
    """

    def __init__(self, iterations: int = ITERATIONS) -> None:
        self._iterations = iterations
        self._made = np.zeros(0, np.float32)  # and held back, as the next piece makes it anew
        self._again = np.zeros((BINS, 0), np.float32)  # the magnitude of `_made`

    def feed(self, magnitude: Spectrum) -> Wave:
        """What is ready once the magnitude [161, N] has come."""
        made = self._made
        whole = np.concatenate([self._again, magnitude], axis=1)
        wav = to_sound(whole, self._iterations, before=made if len(made) else None)
        fade = (np.arange(len(made), dtype=np.float32) + np.float32(0.5)) / np.float32(max(1, len(made)))
        wav[: len(made)] = made + fade * (wav[: len(made)] - made)
        kept = min(OVERLAP_FRAMES, whole.shape[1])
        ready = len(wav) - kept * HOP_SAMPLES
        self._made, self._again = wav[ready:], whole[:, -kept:]
        return wav[:ready]

    def flush(self) -> Wave:
        """The rest."""
        made, self._made, self._again = self._made, self._made[:0], self._again[:, :0]
        return made


def griffin_lim(magnitude: Spectrum, iterations: int = ITERATIONS) -> Wave:
    """The sound of a magnitude [161, N] with margins for `Crossfade`, [2 MARGIN_SAMPLES + 160 N]."""
    frames = -(-MARGIN_SAMPLES // HOP_SAMPLES) + 1
    wav = to_sound(np.pad(magnitude, ((0, 0), (frames, frames)), mode="edge"), iterations)
    first = frames * HOP_SAMPLES - MARGIN_SAMPLES
    return wav[first : first + magnitude.shape[1] * HOP_SAMPLES + 2 * MARGIN_SAMPLES]


class Crossfade:
    """Sounds that were made each alone, one after the other: where they meet, one fades out and the next fades in.

    They have nothing to do with each other, so it is their power that adds up to one.
    """

    def __init__(self) -> None:
        self._end = np.zeros(0, np.float32)

    def feed(self, wav: Wave) -> Wave:
        """What is ready once a sound with margins [2 MARGIN_SAMPLES + T] has come."""
        both = 2 * MARGIN_SAMPLES
        start = np.zeros(0, np.float32)
        if len(self._end):
            turn = (np.arange(both) + 0.5) * (np.pi / 2 / both)  # double precision: the same on every processor
            start = self._end * np.cos(turn).astype(np.float32) + wav[:both] * np.sin(turn).astype(np.float32)
        else:
            start = wav[MARGIN_SAMPLES:both]
        self._end = wav[len(wav) - both :]
        return np.concatenate([start, wav[both : len(wav) - both]])

    def flush(self) -> Wave:
        """The rest."""
        end, self._end = self._end[:MARGIN_SAMPLES], self._end[:0]
        return end


def _impose(target: NDArray[np.float32], guess: NDArray[np.complex64]) -> None:
    """Give `guess` [N, 161] the magnitude `target`, in place; where it is zero it stays so."""
    scale = np.abs(guess)
    np.maximum(scale, _SMALLEST, out=scale)
    np.divide(target, scale, out=scale)
    guess.real *= scale
    guess.imag *= scale


def _consistent(guess: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """The nearest spectrum [N, 161] that a sound has."""
    return np.ascontiguousarray(stft(istft(guess.T)).T)
