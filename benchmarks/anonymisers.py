"""Two simple anonymisers of voices, to be audited: what many would reach for, and a baseline of the literature.

    python benchmarks/anonymisers.py mcadams IN OUT [--alpha 0.8 | --seed 0]
    python benchmarks/anonymisers.py pitch IN OUT [--semitones 4]

IN and OUT are sound files, or folders, below which every sound file of IN is written to OUT under its name, as WAV. All
that is written is mono at 16 kHz. An audit runs them itself with `command:python benchmarks/anonymisers.py pitch {in}
{out}`, or, without a new Python for each recording, is given the folder.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from sottovoce.audio import io, writer
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.layout import sound_files
from sottovoce.errors import AudioError, SottovoceError

ORDER = 20  # of the linear prediction
FRAME, HOP = 320, 160  # 20 ms and half of it, as the VoicePrivacy baseline B2 has them
FRAMES = 1000  # at once
WIDEST_RADIUS = 0.9995  # of a pole: those on or beyond the circle, where a filter grows, are pulled in
ALPHAS = (0.5, 0.9)  # where it is drawn
PIECE, STEP, REACH = 512, 256, 160  # samples that are moved as one, apart from each other, and how far they may move

_WINDOW = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME))  # its square, at half steps, adds up to 1
_FADE = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(PIECE) / PIECE)


def mcadams(wav: Wave, alpha: float = 0.8) -> Wave:
    """`wav` [T] with its resonances moved: angle phi of each pole to phi ** alpha -> [T].

    Patino et al. 2021, "Speaker anonymisation using the McAdams coefficient", baseline B2 of the VoicePrivacy
    Challenge: linear prediction of order 20 in frames of 20 ms, the residual passed through the filter of the moved
    poles. Here predicted by autocorrelation instead of Burg's method, and made quieter only to stay within full scale.
    """
    padded = np.pad(wav.astype(np.float64), (HOP, 2 * FRAME))  # so that each sample is in two frames
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP] * _WINDOW
    out = np.zeros((len(frames) + 1, HOP))
    for start in range(0, len(frames), FRAMES):
        some = frames[start : start + FRAMES]
        predictors = _predictors(some)
        moved = _moved(predictors, alpha)
        # The residual is what the predictor leaves over; the moved predictor, turned around, makes sound of it again.
        made = _filtered(some, predictors, moved) * _WINDOW
        out[start : start + len(made)] += made[:, :HOP]
        out[start + 1 : start + 1 + len(made)] += made[:, HOP:]
    found = out.reshape(-1)[HOP : HOP + len(wav)]
    return (found / max(1.0, np.abs(found).max(initial=0.0))).astype(np.float32)


def _predictors(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Polynomials 1 - a_1 z^-1 - ... [M, 21] that leave least over of each frame [M, 320]."""
    power = np.abs(np.fft.rfft(frames, 2 * FRAME)) ** 2
    correlation = np.fft.irfft(power)[:, : ORDER + 1]
    correlation[:, 0] = correlation[:, 0] * (1 + 1e-9) + 1e-12  # white noise far below: silence can be solved too
    lags = np.abs(np.subtract.outer(np.arange(ORDER), np.arange(ORDER)))
    solved = np.linalg.solve(correlation[:, lags], correlation[:, 1:, None])[..., 0]
    return np.concatenate([np.ones((len(frames), 1)), -solved], axis=1)


def _moved(predictors: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Polynomials [M, 21] whose complex roots have the angle phi ** alpha, at most pi, in place of phi."""
    companions = np.zeros((len(predictors), ORDER, ORDER))
    companions[:, 0] = -predictors[:, 1:]
    companions[:, np.arange(1, ORDER), np.arange(ORDER - 1)] = 1.0
    poles = np.linalg.eigvals(companions).astype(np.complex128)
    angle = np.angle(poles)
    turned = np.copysign(np.minimum(np.abs(angle) ** alpha, np.pi), angle)
    moved = np.minimum(np.abs(poles), WIDEST_RADIUS) * np.exp(1j * np.where(poles.imag == 0, angle, turned))
    polynomials = np.zeros((len(poles), ORDER + 1), np.complex128)
    polynomials[:, 0] = 1.0
    for degree in range(ORDER):
        polynomials[:, 1 : degree + 2] -= moved[:, degree, None] * polynomials[:, : degree + 1].copy()
    return polynomials.real


def _filtered(
    frames: NDArray[np.float64], numerators: NDArray[np.float64], denominators: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each of the frames [M, 320] through a filter of its own, whose polynomials [M, 21] begin with 1 -> [M, 320].

    As scipy.signal.lfilter does, but all frames at once, and importing scipy takes longer than protecting a recording.
    """
    out = np.empty_like(frames)
    state = np.zeros((len(frames), ORDER + 1))
    for i in range(FRAME):
        given = frames[:, i, None]
        out[:, i, None] = made = given + state[:, :1]
        state[:, :-1] = state[:, 1:] + numerators[:, 1:] * given - denominators[:, 1:] * made
    return out


def pitch(wav: Wave, semitones: float = 4.0) -> Wave:
    """`wav` [T] higher by `semitones`, resonances included, and as long -> [T].

    It is resampled, which changes pitch and duration, and brought back to its duration. Four semitones up, the default,
    turn a typical male pitch of 120 Hz into one of 151 Hz: heard as another voice, and still understood.
    """
    shorter = soxr.resample(wav, SAMPLE_RATE * 2 ** (semitones / 12), SAMPLE_RATE)
    return _stretched(shorter.astype(np.float32), len(wav))


def _stretched(wav: Wave, samples: int) -> Wave:
    """`wav` [T'] at the same pitch, but `samples` long: WSOLA (Verhelst and Roelands 1993).

    Pieces overlap by half; each is taken from where, near its place, it is most like what would have gone on.
    """
    padded = np.pad(wav, (STEP + REACH, 2 * PIECE + REACH))
    out = np.zeros(samples + 2 * PIECE, np.float32)
    place = REACH
    for start in range(0, samples + STEP, STEP):
        if start:
            nearest = round(start * len(wav) / samples)
            goes_on = padded[place + STEP : place + STEP + PIECE]
            around = padded[nearest : nearest + PIECE + 2 * REACH]
            place = nearest + int(np.argmax(np.correlate(around, goes_on, "valid")))
        out[start : start + PIECE] += padded[place : place + PIECE] * _FADE
    return out[STEP : STEP + samples]


def drawn_alpha(wav: Wave, seed: int) -> float:
    """An alpha between 0.5 and 0.9 that depends on the seed and the sound, whatever the file is called."""
    return float(np.random.default_rng([seed, zlib.crc32(wav.tobytes())]).uniform(*ALPHAS))


def anonymise(source: Path, out: Path, method: Callable[[Wave], Wave]) -> int:
    """Write what `method` makes of the file `source`, or of all below that folder, to `out`; returns how many."""
    if out.resolve().is_relative_to(source.resolve()):
        raise AudioError(f"{str(out)!r}: the original, or inside its folder; choose a place outside it.")
    whole = source.is_dir()
    files = sound_files(source) if whole else [source]
    for path in files:
        place = (out / path.relative_to(source)).with_suffix(".wav") if whole else out
        place.parent.mkdir(parents=True, exist_ok=True)
        writer.write(place, method(io.read(path)))
    return len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=("mcadams", "pitch"))
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--alpha", type=float, default=0.8, help="McAdams coefficient, above 0; 1 changes nothing")
    parser.add_argument("--seed", type=int, help="draw alpha for each file from 0.5 to 0.9")
    parser.add_argument("--semitones", type=float, default=4.0, help="up, or, below 0, down")
    given = parser.parse_args()

    def method(wav: Wave) -> Wave:
        if given.method == "pitch":
            return pitch(wav, given.semitones)
        return mcadams(wav, given.alpha if given.seed is None else drawn_alpha(wav, given.seed))

    try:
        count = anonymise(given.source, given.out, method)
    except SottovoceError as error:
        parser.exit(2, f"{error}\n")
    if not count:
        parser.exit(2, f"{given.source}: no sound files below this folder; expected {', '.join(io.ENDINGS)}.\n")


if __name__ == "__main__":
    main()
