"""How loud a sound is: measuring it, bringing it to one level, cutting off the silence around it (numpy only)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import AudioError

LEVEL_RMS = 0.1  # -20 dB of full scale: speech at this level does not clip
MAX_GAIN = 1000.0  # 60 dB: what is fainter than that is noise, and stays faint
KNEE = np.float32(0.5)  # of full scale: up to it `limited` leaves a sound as it is

_SMALLEST = 1e-30  # 600 dB under full scale
_FRAME_S = 0.02
_LOUD_PERCENTILE = 95.0


def rms(wav: Wave) -> NDArray[np.float64]:
    """Root mean square of `wav` [..., T] over its samples -> [...]; that of no samples is 0."""
    power = np.sum(np.square(wav, dtype=np.float64), axis=-1) / max(1, wav.shape[-1])
    return np.asarray(np.sqrt(power))


def normalise(wav: Wave, level_rms: float = LEVEL_RMS) -> Wave:
    """Each sound of `wav` [..., T], scaled to an RMS of `level_rms` by a gain of at most MAX_GAIN -> [..., T].

    Digital silence stays silence.
    """
    gain = level_rms / np.maximum(rms(wav), level_rms / MAX_GAIN)
    return (wav * gain[..., None]).astype(np.float32)


def limited(wav: Wave) -> Wave:
    """`wav`, bent above half of full scale so that it never exceeds it: a fixed curve, whatever the level.

    The curve is computed in double precision, so that the samples are the same on every processor.
    """
    loud = np.abs(wav) > KNEE
    over = (np.abs(wav[loud]) - KNEE).astype(np.float64) / float(KNEE)
    bent = wav.copy()
    bent[loud] = np.copysign(KNEE + KNEE * np.tanh(over).astype(np.float32), wav[loud])
    return bent


def checked(samples: Any) -> Wave:
    """Sound in memory as float32 [T]; AudioError for what is not one channel of floating-point samples."""
    try:
        wav = np.asarray(samples)
    except (ValueError, TypeError, RuntimeError):  # a ragged list, a tensor that needs its gradient
        wav = np.array(None)
    if wav.dtype.kind != "f":
        got = f"samples of {wav.dtype}" if wav.dtype.kind in "iu" else f"{type(samples).__name__} for a sound"
        raise AudioError(
            f"got {got}; expected floating-point samples from -1 to 1, shape [T]: divide those of 16 bits by 32768."
        )
    if wav.ndim != 1:
        raise AudioError(f"got samples of shape {wav.shape}; expected one channel, shape [T].")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is silence
        return wav.astype(np.float32, copy=False)


def audible(wav: Wave) -> Wave:
    """`wav` with silence for samples that are not finite, or so small that a processor takes longer for them."""
    known = np.isfinite(wav) & (np.abs(wav) > _SMALLEST)
    return np.where(known, wav, np.float32(0.0))


def trim_silence(wav: Wave, sample_rate: int = SAMPLE_RATE, threshold_db: float = 35.0, margin_s: float = 0.1) -> Wave:
    """`wav` [T] without the silence at both ends, but for `margin_s` of it -> [T'], T' <= T, not empty if T is not.

    Silent is a 20 ms frame whose RMS is more than `threshold_db` under that of the loud parts: the 95th percentile over
    all frames. A sound that is silent all through, or for 95 % of its time, is returned unchanged.
    """
    frame = round(_FRAME_S * sample_rate)
    starts = np.arange(0, len(wav), frame)
    if not len(starts):
        return wav
    power = np.add.reduceat(np.square(wav, dtype=np.float64), starts)
    level = np.sqrt(power / np.minimum(frame, len(wav) - starts))  # the last frame may be short
    loud = np.flatnonzero(level >= np.percentile(level, _LOUD_PERCENTILE) * 10.0 ** (-threshold_db / 20.0))
    margin = round(margin_s * sample_rate)
    return wav[max(0, starts[loud[0]] - margin) : starts[loud[-1]] + frame + margin]
