"""The target: the useful recogniser that must keep working and is never modified, wherever it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from sottovoce.audio import level
from sottovoce.audio.griffin_lim import to_sound
from sottovoce.audio.segment import LEVEL_RMS, front_end
from sottovoce.audio.spectrum import (
    BINS,
    HOP_SAMPLES,
    SAMPLE_RATE,
    SEGMENT_FRAMES,
    SEGMENT_SAMPLES,
    Spectrum,
    Wave,
    magnitude,
)
from sottovoce.errors import ModelError

Array = NDArray[np.float32]
Takes = Literal["spectrum", "wave"]

TYPICAL_SOUND = (0.65, 0.85)  # mean and deviation of the log spectra of speech at the level of the front end
_GAIN = np.float32(level.LEVEL_RMS / LEVEL_RMS)  # from the level of the front end to that of a sound file
_BATCH = 64
_RAREST = 1e-12  # of probabilities, below which a logarithm carries no information


@dataclass(frozen=True)
class Target:
    """A frozen recogniser of one task, which takes spectra or sound and gives logits [B, K].

    `logits` maps standardised log spectra [B, 161, 128], or sound [B, T] and its sample rate in Hz, as `takes` says.
    `sample_rate` is what the recogniser itself works at: `logits` resamples. `differentiable` says whether gradients
    flow through `logits` to what it takes; `source` is where it was loaded from.
    """

    task: str
    classes: tuple[str, ...]
    differentiable: bool
    logits: Callable[..., Tensor]
    digest: str = ""
    source: Path | None = None
    card: Mapping[str, Any] | None = None
    takes: Takes = "spectrum"
    sample_rate: int = SAMPLE_RATE

    def predict(self, spectra: Array, sound: Callable[[], Wave] | None = None) -> Array:
        """Logits [B, K] of spectra [B, 161, 128], without gradients, in batches.

        A target that takes sound gets `sound()` [B, 20480] at 16 kHz instead, or without that the decoded spectra.
        """
        if self.takes == "wave":
            return self.predict_sound(sound() if sound else at_file_level(decoded(spectra, TYPICAL_SOUND)))
        return self._in_batches(self.logits, spectra)

    def predict_sound(self, segments: Wave) -> Array:
        """Logits [S, K] of segments of sound [S, 20480] at 16 kHz, as an application receives them."""
        if self.takes == "spectrum":
            return self.predict(front_end(segments))
        return self._in_batches(lambda batch: self.logits(batch, SAMPLE_RATE), segments)

    def _in_batches(self, logits: Callable[[Tensor], Tensor], inputs: Array) -> Array:
        with torch.no_grad():
            batches = [logits(torch.from_numpy(inputs[i : i + _BATCH])) for i in range(0, len(inputs), _BATCH)]
        return torch.cat(batches).numpy()


def decoded(spectra: Spectrum, sound: tuple[float, float], shift: int = 0, seed: int = 0) -> Wave:
    """The sound [B, 20480] of each of [B, 161, 128] repeated, from frame `shift` on, at the level of the front end.

    `sound` are the mean and deviation of the log spectra that the standardised ones stand for.
    """
    mean, deviation = map(np.float32, sound)
    waves = [to_sound(magnitude(np.tile(spectrum, 2) * deviation + mean), seed=seed) for spectrum in spectra]
    start = shift * HOP_SAMPLES
    return np.stack([wave[start : start + SEGMENT_SAMPLES] for wave in waves])


def at_file_level(waves: Wave) -> Wave:
    """Sound at the level of the front end, brought to that of a sound file and within its full scale, as filters do."""
    return level.limited(_GAIN * waves)


def tried(target: Target) -> Target:
    """The same target, having answered one silent segment; ModelError where its answer does not fit its classes."""
    spectrum = target.takes == "spectrum"
    segment = np.zeros((1, BINS, SEGMENT_FRAMES) if spectrum else (1, SEGMENT_SAMPLES), np.float32)
    shape = (target.predict if spectrum else target.predict_sound)(segment).shape
    if shape != (1, len(target.classes)):
        raise ModelError(f"the target gives scores {shape} for one segment; expected (1, {len(target.classes)}).")
    return target


def from_module(
    module: nn.Module, task: str, classes: Sequence[str], takes: Takes = "spectrum", sample_rate: int = SAMPLE_RATE
) -> Target:
    """A target from a torch module that maps [B, 161, 128], or sound [B, T] at `sample_rate` Hz, to [B, K].

    The module is put in evaluation mode and frozen.
    """
    module.eval().requires_grad_(False)
    digest = hashlib.sha256(save({k: v.contiguous() for k, v in module.state_dict().items()})).hexdigest()
    if takes == "spectrum":
        return tried(Target(task, tuple(classes), True, module, digest))

    def function(waves: Wave, _: int) -> Array:
        return np.asarray(module(torch.from_numpy(waves)))

    return tried(replace(from_callable(function, task, classes, takes, sample_rate), digest=digest))


def from_callable(
    function: Callable[..., Array],
    task: str,
    classes: Sequence[str],
    takes: Takes = "spectrum",
    sample_rate: int = SAMPLE_RATE,
) -> Target:
    """A target from any function of numpy spectra [B, 161, 128] to scores [B, K]; it can only be queried.

    With `takes` "wave" the function gets sound [B, T] and its rate, which is always `sample_rate` Hz.
    """

    def checked(scores: Any, count: int) -> Tensor:
        given = np.asarray(scores)
        if given.dtype.kind not in "biuf" or not np.isfinite(given).all():
            raise ModelError("the target returned scores that are not finite numbers; expected logits [B, K].")
        given = given.astype(np.float32)
        if given.shape != (count, len(classes)):
            raise ModelError(f"the target returned scores of shape {given.shape}; expected {(count, len(classes))}.")
        return torch.from_numpy(given)

    def of_spectra(spectra: Tensor) -> Tensor:
        return checked(function(spectra.detach().numpy().copy()), len(spectra))

    def of_sound(waves: Tensor, rate: int) -> Tensor:
        return checked(function(_resampled(waves.detach().numpy().copy(), rate, sample_rate), sample_rate), len(waves))

    logits = of_sound if takes == "wave" else of_spectra
    return Target(task, tuple(classes), False, logits, takes=takes, sample_rate=sample_rate)


def _resampled(waves: Wave, from_hz: int, to_hz: int) -> Wave:
    if from_hz == to_hz or not len(waves):
        return waves
    return np.ascontiguousarray(soxr.resample(waves.T, from_hz, to_hz).reshape(-1, len(waves)).T, dtype=np.float32)


def from_classifier(model: Any, task: str, classes: Sequence[str], features: Callable[[Array], NDArray[Any]]) -> Target:
    """A target from a fitted scikit-learn classifier and the `features` [B, D] that it takes of spectra [B, 161, 128].

    `classes` name the model's own, in its order; ModelError where the model has others: `classes_` of a model that
    was fitted on names, or numbers from 0.
    """
    known = [str(name) for name in model.classes_]
    if known not in (list(classes), [str(i) for i in range(len(classes))]):
        raise ModelError(f"the classifier knows the classes {known}, in this order; got {list(classes)}.")
    return from_callable(lambda spectra: np.log(model.predict_proba(features(spectra)) + _RAREST), task, classes)
