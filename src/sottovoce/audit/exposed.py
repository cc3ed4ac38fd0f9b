"""The few recordings that leave a system nearly as they came: an average over all of them would hide these.

What leaves for each recording is compared with its original, without any label. An attacker who was trained on
originals then reads the few that resemble theirs most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

from sottovoce.attack.attacker import Array
from sottovoce.audio.segment import cut, full_band
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.audit.case import Case
from sottovoce.audit.results import Control
from sottovoce.audit.scores import Scores
from sottovoce.parallel import ordered

SHARE = 0.05
COPY = 1.5  # the resemblance of what is nearly the original; that of unrelated speech is below 1
_LONGEST = 4 * SEGMENT_SAMPLES  # of a sound that is compared
_MOST_OTHERS = 100  # comparisons with originals of other recordings
_GAIN, _DELAY = 0.5, round(0.05 * SAMPLE_RATE)  # of the copies that are planted
_FOUND = 0.9  # of planted copies that must be above what others resemble


def resemblance(left: Wave, original: Wave) -> float:
    """How much of `original` [T] is in `left` [T'], from 0 to 2: as samples, whatever the delay, and as a spectrum."""
    left, original = left[:_LONGEST], original[:_LONGEST]
    # In double precision: in float32, the last bit of the result was not the same in every process.
    one, other = (each - each.mean() for each in (left.astype(np.float64), original.astype(np.float64)))
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    if scale == 0.0:
        return 0.0
    correlation = np.abs(correlate(one, other, method="fft"))
    late = int(correlation.argmax()) - (len(other) - 1)  # samples by which what leaves is behind the original
    left, original = left[max(0, late) :], original[max(0, -late) :]
    both = min(len(left), len(original))
    alike = _alike(full_band(cut(left[:both])), full_band(cut(original[:both])))
    return min(1.0, float(correlation.max()) / scale) + max(0.0, alike)


def _alike(left: Array, original: Array) -> float:
    """The mean correlation of standardised spectra [S, F, N] of two sounds, segment by segment."""
    return float((left * original).mean(dtype=np.float64))


def gather(case: Case, tasks: Sequence[str], sound: Callable[[int], Wave], seed: int, workers: int) -> Scores:
    """How much what leaves for each test clip of `tasks` resembles its original [U], or another, and so of copies."""
    clips = [int(clip) for clip in case.clips("test")]
    rng = np.random.default_rng(seed)
    some = rng.permutation(len(clips))[:_MOST_OTHERS]
    others = np.roll(some, 1)

    def compared(pairs: Sequence[Any], left: Callable[[int], Wave]) -> NDArray[np.float32]:
        found = ordered(resemblance, lambda i: (left(pairs[i][0]), original(pairs[i][1])), len(pairs), workers)
        return np.array(found, np.float32)

    original = case.sounds.wave
    own = compared([(clip, clip) for clip in clips], sound)
    pairs = [(clips[i], clips[j]) for i, j in zip(some, others, strict=True) if i != j]
    return Scores(
        {
            **{f"{task}/resemblance": own[case.picked(task, "test")] for task in tasks},
            "resemblance/others": compared(pairs, sound),
            "resemblance/copies": compared([(clips[i], clips[i]) for i in some], lambda clip: _copy(original(clip))),
        }
    )


def _copy(original: Wave) -> Wave:
    return np.concatenate([np.zeros(_DELAY, np.float32), _GAIN * original])


def few(own: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which 5 % of recordings [U] resemble their originals most, at least one, and all that are nearly copies."""
    chosen = np.zeros(len(own), np.bool_)
    chosen[np.argsort(-own, kind="stable")[: max(1, math.ceil(SHARE * len(own)))]] = True
    return chosen | (own >= COPY)


def control(scores: Scores) -> dict[str, Control]:
    """Whether copies that were planted are told: as nearly copies, or from what leaves for other recordings."""
    if "resemblance/copies" not in scores or not len(scores["resemblance/others"]):
        return {}
    copies, others = scores["resemblance/copies"], scores["resemblance/others"]
    found = float(((copies >= COPY) | (copies > np.quantile(others, 1.0 - SHARE))).mean())
    return {
        "planted leak: copies of originals": Control(
            passed=found >= _FOUND,
            detail=f"originals 6 dB fainter and 50 ms late: {found:.1%} of {len(copies)} are nearly copies, or "
            "resemble their original more than 95 % of what leaves resembles another",
        )
    }
