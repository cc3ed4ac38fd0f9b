"""Estimators of a private attribute that is a number, such as age, or the pitch of a voice."""

from __future__ import annotations

import math
from itertools import islice
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import linear_model
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sottovoce.attack.attacker import Attacker, Observations
from sottovoce.attack.classical import best, principal_components, statistics
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave

Values = NDArray[np.float64]

_PENALTIES = (1e0, 1e1, 1e2, 1e3, 1e4)
_FRAME_SAMPLES = 640  # 40 ms
_HOP_SAMPLES = 160
_SHORTEST, _LONGEST = SAMPLE_RATE // 500, SAMPLE_RATE // 60  # periods in samples, of 500 and of 60 Hz
_VOICED = 0.7  # normalised autocorrelation
_LOUD = 0.1  # of the loudest frame's amplitude: fainter frames are left out
_REFERENCE_HZ = 55.0


class Estimator(Protocol):
    """Estimates one number. The constructor only stores; learned attributes end in an underscore."""

    name: str
    needs: str  # what this estimator has to have or know, in words

    def fit(self, train: Observations, values: Values, validation: Observations, validation_values: Values) -> Self:
        """Learn from utterances and their finite values [U], choosing on validation."""
        ...

    def values(self, observations: Observations) -> Values:
        """Estimates [U]."""
        ...


class Ridge:
    """Linear regression on statistics, its penalty chosen."""

    name = "ridge on statistics"
    needs = Attacker.needs

    def fit(self, train: Observations, values: Values, validation: Observations, validation_values: Values) -> Self:
        candidates = [make_pipeline(StandardScaler(), linear_model.Ridge(penalty)) for penalty in _PENALTIES]
        self.model_ = best(candidates, statistics(train), values, statistics(validation), validation_values)
        return self

    def values(self, observations: Observations) -> Values:
        return np.asarray(self.model_.predict(statistics(observations)), np.float64)


class TreesRegression:
    """Boosted trees on principal components of the statistics; how many is chosen."""

    name = "regression trees on statistics"
    needs = Attacker.needs

    def fit(self, train: Observations, values: Values, validation: Observations, validation_values: Values) -> Self:
        features = statistics(train)
        self.components_ = principal_components(features)
        self.trees_ = HistGradientBoostingRegressor(max_leaf_nodes=8, min_samples_leaf=10, early_stopping=False)
        self.trees_.fit(self.components_.transform(features), values)
        staged = self.trees_.staged_predict(self.components_.transform(statistics(validation)))
        self.rounds_ = 1 + int(np.argmin([np.square(guess - validation_values).mean() for guess in staged]))
        return self

    def values(self, observations: Observations) -> Values:
        staged = self.trees_.staged_predict(self.components_.transform(statistics(observations)))
        return np.asarray(next(islice(staged, self.rounds_ - 1, None)), np.float64)


ESTIMATORS: dict[str, type[Estimator]] = {"ridge": Ridge, "trees": TreesRegression}


def pitch(wav: Wave) -> float:
    """Median fundamental frequency of the voiced frames of sound [T] at 16 kHz, in semitones above 55 Hz, 60 to 500 Hz.

    NaN where nothing is voiced. By the autocorrelation of 40 ms frames, normalised by the energy of both its parts
    (Talkin 1995, "A robust algorithm for pitch tracking").
    """
    padded = np.pad(wav.astype(np.float64), (0, max(0, _FRAME_SAMPLES - len(wav))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME_SAMPLES)[::_HOP_SAMPLES]
    frames = frames - frames.mean(axis=1, keepdims=True)
    likeness = _autocorrelation(frames)  # at lags _SHORTEST - 1 to _LONGEST + 1
    before, here, after = likeness[:, :-2], likeness[:, 1:-1], likeness[:, 2:]
    # The first peak that is nearly as high as the highest: multiples of the period look as much alike as the period.
    peaks = (here >= before) & (here > after) & (here >= np.maximum(_VOICED, 0.9 * here.max(axis=1, keepdims=True)))
    amplitude = np.sqrt(np.square(frames).mean(axis=1))
    voiced = np.flatnonzero(peaks.any(axis=1) & (amplitude > _LOUD * amplitude.max()))
    if not len(voiced):
        return math.nan
    at = voiced, peaks[voiced].argmax(axis=1)
    bend = 0.5 * (before[at] - after[at]) / (before[at] - 2.0 * here[at] + after[at])  # the top of a parabola
    frequency_hz = SAMPLE_RATE / (_SHORTEST + at[1] + bend)
    return float(12.0 * np.log2(np.median(frequency_hz) / _REFERENCE_HZ))


def _autocorrelation(frames: Values) -> Values:
    """How alike the beginning of each frame [n, 640] is to its continuation a lag later, -1..1, [n, lags]."""
    lags = np.arange(_SHORTEST - 1, _LONGEST + 2)
    length = _FRAME_SAMPLES - lags[-1]
    spectrum = np.fft.rfft(frames, 2 * _FRAME_SAMPLES)
    product = np.fft.irfft(spectrum * np.fft.rfft(frames[:, :length], 2 * _FRAME_SAMPLES).conj())[:, lags]
    sums = np.pad(np.cumsum(frames**2, axis=1), ((0, 0), (1, 0)))
    energy = sums[:, length:] - sums[:, : _FRAME_SAMPLES - length + 1]
    return product / np.sqrt(np.maximum(energy[:, :1] * energy[:, lags], 1e-20))
