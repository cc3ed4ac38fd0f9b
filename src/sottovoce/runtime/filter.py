"""A filter: what lets an application hear only what its user permitted.

    sound [T] -- 16 kHz, cut --> segments -- front end, engine --> obfuscated spectra -- join --> features [161, N]
    features -- the filter's constants --> magnitude -- a phase of its own --> sound [T]

Level, phase and statistics of the input end at the front end. Where the engine fails there is silence or an exception,
never the input.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio import level, segment
from sottovoce.audio.blocks import regrouped, resampled
from sottovoce.audio.io import HIGHEST_RATE, LOWEST_RATE
from sottovoce.audio.sound import PIECE_FRAMES, in_pieces
from sottovoce.audio.spectrum import (
    HOP_SAMPLES,
    SAMPLE_RATE,
    SEGMENT_SAMPLES,
    Spectrum,
    Wave,
    magnitude,
)
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.checkpoint import folder_digest, read_folder
from sottovoce.runtime.config import FilterConfig
from sottovoce.runtime.engine import BATCH, Engine, OnnxEngine

_CHUNK_SAMPLES = BATCH * SEGMENT_SAMPLES  # 20.48 s, worked on at once
_GAIN = np.float32(level.LEVEL_RMS / segment.LEVEL_RMS)  # from the front end's level to that of a sound file
_KNEE = np.float32(0.5)
# A magnitude is at most the norm of the window, 11.3, times that of the samples, 143 in a segment of RMS 1.
_LOUDEST = np.float32(math.log1p(1613.0))


@dataclass(frozen=True)
class Filter:
    """A filter folder, ready to run: `card` says what it permits and what was found about it."""

    engine: Engine
    config: FilterConfig
    card: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    path: Path | None = None

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> Filter:
        """The filter in the folder `path`, on `threads` threads; ModelError says what is wrong with it."""
        folder = Path(path)
        card = read_folder(folder, "filter")
        try:
            config = FilterConfig.parse((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{folder} has no readable config.json; train the filter again.") from error
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from error
        return cls(OnnxEngine(folder / "filter.onnx", threads), config, card, folder_digest(card), folder)

    @property
    def whole_segments(self) -> bool:
        """Whether what leaves is a whole number of segments of 1.28 s, and no exact duration shows."""
        return False

    def permitting(self, tasks: Sequence[str]) -> Filter:
        """The filter that permits `tasks` and no others; ConfigError where this one cannot be switched to that."""
        permit = self.card.get("permit", [])
        if {*tasks} != {*permit}:
            asked, can = (", ".join(names) or "nothing" for names in (tasks, permit))
            raise ConfigError(
                f"the filter is to permit {asked}; expected {can}, as it was trained and cannot change: "
                "ask for that, or train another filter."
            )
        return self

    def obfuscate(self, segments: Wave) -> Spectrum:
        """Obfuscated spectra [S, 161, 128], standardised, of sound segments [S, 20480] at 16 kHz.

        A segment for which the engine gives anything that is not finite is silence; ModelError if the engine fails.
        """
        try:
            spectra = self.engine.run(segment.front_end(segments))
        except Exception as error:
            raise ModelError(f"the filter's engine failed ({error}); nothing was passed on.") from error
        finite = np.isfinite(spectra).all(axis=(1, 2), keepdims=True)
        silence = np.float32(-self.config.sound_mean / self.config.sound_std)
        return np.where(finite, spectra, silence)

    def features(self, wav: Wave) -> Spectrum:
        """The obfuscated spectrogram [161, ceil(T / 160)], standardised, of a sound [T] at 16 kHz, T > 0."""
        return segment.join(self.obfuscate(segment.cut(wav)), len(wav))

    def sound(self, features: Spectrum) -> Wave:
        """The sound [160 N] at 16 kHz, within full scale, of an obfuscated spectrogram [161, N]."""
        return _joined(map(_limited, self._sounds([features])))

    def filter(self, wav: Wave, sample_rate: int = SAMPLE_RATE) -> Wave:
        """What may be heard of the sound `wav` [T] at `sample_rate` Hz -> [T] at the same rate."""
        return _joined(self.pieces([wav], sample_rate))

    def pieces(
        self, blocks: Iterable[Wave], sample_rate: int = SAMPLE_RATE, output_rate: int | None = None
    ) -> Iterator[Wave]:
        """What `filter` returns for the joined `blocks` [T], in bounded memory, however they are cut.

        In at `sample_rate`, out at `output_rate` Hz (if None, the same). Some pieces may be empty.
        """
        to_rate = output_rate or sample_rate
        for rate in (sample_rate, to_rate):
            if not LOWEST_RATE <= rate <= HIGHEST_RATE:
                raise ConfigError(f"sample_rate is {rate} Hz; give {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
        taken = given = 0

        def counted() -> Iterator[Wave]:
            nonlocal taken
            for block in blocks:
                taken += len(block)
                yield np.where(np.isfinite(block), block, 0.0).astype(np.float32)

        heard = resampled(counted(), sample_rate, SAMPLE_RATE)
        for piece in resampled(self._sounds(self._features(heard)), SAMPLE_RATE, to_rate):
            fitted = piece[: round(taken * to_rate / sample_rate) - given]  # the sound was padded to whole frames
            given += len(fitted)
            yield _limited(fitted)
        yield np.zeros(round(taken * to_rate / sample_rate) - given, np.float32)  # the resamplers may round down

    def _features(self, blocks: Iterable[Wave]) -> Iterator[Spectrum]:
        """The obfuscated spectrogram of a sound at 16 kHz that comes in `blocks`, in pieces."""
        history = np.zeros(0, np.float32)
        for chunk in regrouped(blocks, _CHUNK_SAMPLES):
            # Only the last segment of the whole sound can reach back over the start of its chunk.
            before = history if len(chunk) % SEGMENT_SAMPLES else history[:0]
            yield self.features(np.concatenate([before, chunk]))[:, len(before) // HOP_SAMPLES :]
            history = chunk[-SEGMENT_SAMPLES:]

    def _sounds(self, features: Iterable[Spectrum]) -> Iterator[Wave]:
        """The sound of a spectrogram in pieces, each but the last of a multiple of PIECE_FRAMES."""
        mean, deviation = np.float32(self.config.sound_mean), np.float32(self.config.sound_std)
        magnitudes = (
            magnitude(np.minimum(piece[:, start : start + PIECE_FRAMES] * deviation + mean, _LOUDEST))
            for piece in features
            for start in range(0, piece.shape[1], PIECE_FRAMES)
        )
        return (_GAIN * wav for wav in in_pieces(magnitudes))


def _limited(wav: Wave) -> Wave:
    """`wav`, bent above half of full scale so that it never exceeds it: a fixed curve, whatever the level."""
    over = np.maximum(np.abs(wav) - _KNEE, np.float32(0.0))
    return np.where(over > 0.0, np.copysign(_KNEE + _KNEE * np.tanh(over / _KNEE), wav), wav)


def _joined(pieces: Iterable[Wave]) -> Wave:
    return np.concatenate([np.zeros(0, np.float32), *pieces])
