"""Filters for targets that know by themselves when there is nothing, such as `level:` and `speech:`.

The network of such a target has `log_posteriors`, of its classes and, last, of none, for what the target takes. It is
the encoder as it is: there is no student, and nothing is learned. Each block counts by itself. Codewords are synthetic:
of many candidates that one which the network itself is surest of, as it leaves and from any point on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sottovoce.audio.level import normalise
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.errors import ConfigError
from sottovoce.methods.codebook.codewords import SHIFTS, repeated
from sottovoce.methods.codebook.none import of_recordings, rates
from sottovoce.methods.codebook.spoken import spoken
from sottovoce.methods.codebook.training import CodebookSettings, Made, Material
from sottovoce.models import level, speech
from sottovoce.models.codebook import SAMPLES, SOUND_SAMPLES, Codebook, to_8_bits
from sottovoce.models.target import Target
from sottovoce.training.loop import Run

_PHRASES = ("somebody is speaking now", "this is a synthetic voice", "hello and good morning", "one two three four")
_BANDS_HZ = tuple(500.0 * 2.0 ** (third / 3.0) for third in range(10))  # to 4 kHz, where A-weighting is 3 dB at most
_CELLS, _PATTERN_DB = 12, 18.0  # of the pattern of a noise, in time and in level
_HIGHEST_DB = -10.0  # of these: louder noise would be limited
_EACH_DB = 1.5
_SURE = 0.5


class ReadyEncoder(nn.Module):
    """The log posteriors [B, K + 1] of a network that knows none itself."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Of sound [B, 20480], or of standardised log spectra [B, 161, 128], as the network takes it."""
        answered: Tensor = self.network.log_posteriors(inputs)
        return answered


def is_ready(target: Target) -> bool:
    """Whether the network of a target is an encoder as it is."""
    return target.task in _CANDIDATES and hasattr(target.logits, "log_posteriors")


def all_ready(targets: Sequence[Target]) -> bool:
    """Whether the filter for these targets is ready-made; ConfigError where only one of several is, or several are."""
    ready = any(map(is_ready, targets))
    if ready and len(targets) > 1:
        tasks = " and ".join(target.task for target in targets)
        raise ConfigError(f"{tasks} cannot share a filter; train one for each, since one of them is ready-made.")
    return ready


def ready_codebook(material: Material, settings: CodebookSettings, run: Run) -> Made:
    """An encoder and a codebook for the one target of `material`."""
    target = material.targets[0]
    encoder = ReadyEncoder(target.logits).eval()

    def answers(segments: Wave) -> NDArray[np.float32]:
        inputs = segments if target.takes == "wave" else front_end(segments)
        with torch.no_grad():
            return np.asarray(encoder(torch.from_numpy(inputs)).numpy())

    def none(segments: Wave) -> NDArray[np.float32]:
        return np.asarray(np.exp(answers(segments)[:, -1]))

    if target.task == level.TASK:  # whose borders are where they are
        measured = rates(none, _loud, {"faint noise": _faint}, settings.none, run.seed, _SURE)
    else:
        something = of_recordings(material.sounds, material.others)
        measured = rates(none, something, material.unseen_negatives, settings.none, run.seed)
    pool = _CANDIDATES[target.task]()
    leaving = repeated(SAMPLES[to_8_bits(pool)])
    forms = [answers(np.ascontiguousarray(leaving[:, at : at + SEGMENT_SAMPLES])) for at in SHIFTS]
    best = np.min(forms, axis=0)[:, :-1].argmax(axis=0)
    table = to_8_bits(np.concatenate([np.zeros((1, SOUND_SAMPLES), np.float32), pool[best]]))[None]
    centres = np.eye(len(target.classes), dtype=np.float32)
    book = Codebook((target.task,), (centres,), (measured["threshold"],), table, 0.0, settings.block_segments)
    return Made(encoder, book, np.zeros(0, np.int64), measured)


def noises(lowest_db: float = -57.0) -> Wave:
    """Noise [N, 20640] at levels from `lowest_db` on, in dB of full scale, each louder and fainter in its own places.

    A steady noise would be like the background of many recordings.
    """
    rng = np.random.default_rng(0)
    levels = np.arange(lowest_db, _HIGHEST_DB, _EACH_DB)
    hertz, places = np.fft.rfftfreq(SOUND_SAMPLES, 1.0 / SAMPLE_RATE), np.linspace(0.0, 1.0, SOUND_SAMPLES)
    waves = np.zeros((len(levels), SOUND_SAMPLES))
    for low, high in pairwise(_BANDS_HZ):
        spectra = np.fft.rfft(rng.standard_normal(waves.shape), axis=1) * ((hertz >= low) & (hertz < high))
        gains = rng.uniform(-_PATTERN_DB, 0.0, (len(levels), _CELLS)) / 20.0
        envelopes = [np.interp(places, np.linspace(0.0, 1.0, _CELLS), each) for each in gains]
        waves += normalise(np.fft.irfft(spectra, SOUND_SAMPLES, axis=1).astype(np.float32)) * 10.0 ** np.stack(
            envelopes
        )
    return (normalise(waves.astype(np.float32), 1.0) * 10.0 ** (levels[:, None] / 20.0)).astype(np.float32)


def _loud(rng: np.random.Generator, count: int) -> Wave:
    """Noise above the lowest border, [N, 20480]."""
    pool = noises(level.LOWEST_DB + 1.0)[:, :SEGMENT_SAMPLES]
    return pool[rng.integers(len(pool), size=count)]


def _faint(rng: np.random.Generator, count: int) -> Wave:
    """White noise below the lowest step, [N, 20480]."""
    decibels = rng.uniform(-100.0, level.LOWEST_DB - 1.0, (count, 1))
    return np.asarray(10.0 ** (decibels / 20.0) * rng.standard_normal((count, SEGMENT_SAMPLES)), np.float32)


def _voices() -> Wave:
    pool = spoken(_PHRASES, 0)
    if not len(pool):
        raise ConfigError("a codeword for speech needs a synthetic voice; pip install 'sottovoce[voices]' for one.")
    return pool


_CANDIDATES: Mapping[str, Callable[[], Wave]] = MappingProxyType({level.TASK: noises, speech.TASK: _voices})
