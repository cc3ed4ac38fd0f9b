"""A filter: what lets an application hear only what its user permitted.

    sound [T] -- 16 kHz, cut --> segments -- front end, engine --> obfuscated spectra -- join --> features [161, N]
    features -- the filter's constants --> magnitude -- a phase of its own --> sound [T]

Level, phase and statistics of the input end at the front end. Where the engine fails there is silence or an exception,
never the input. What a codebook draws comes in whole segments, so that not even a sound's exact length passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio import level, segment
from sottovoce.audio.blocks import regrouped, resampled
from sottovoce.audio.io import HIGHEST_RATE, LOWEST_RATE
from sottovoce.audio.sound import PIECE_FRAMES, in_pieces
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
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.checkpoint import folder_digest, read_folder
from sottovoce.models.codebook import Codebook
from sottovoce.runtime.config import CODEBOOK, FilterConfig
from sottovoce.runtime.engine import BATCH, SCORES, CodebookEngine, Engine, Graph, OnnxEngine, State
from sottovoce.runtime.stream import Stream

_CHUNK_SAMPLES = BATCH * SEGMENT_SAMPLES  # 20.48 s, worked on at once
_GAIN = np.float32(level.LEVEL_RMS / segment.LEVEL_RMS)  # from the front end's level to that of a sound file
_KNEE = np.float32(0.5)
_MOST_BLOCKS = 1000
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
    constant_blocks: int = 0  # of every sound, whatever its length; 0: as many as it has

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> Filter:
        """The filter in the folder `path`, on `threads` threads; ModelError says what is wrong with it."""
        folder = Path(path)
        card = read_folder(folder, "filter")
        try:
            config = FilterConfig.parse((folder / "config.json").read_text(encoding="utf-8"))
            engine = _engine(folder, config, threads)
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{folder} has an unreadable file ({error}); train the filter again.") from error
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from error
        return cls(engine, config, card, folder_digest(card), folder)

    @property
    def permit(self) -> tuple[str, ...]:
        """The tasks that are permitted now."""
        return self.engine.permit if isinstance(self.engine, CodebookEngine) else tuple(self.card.get("permit", ()))

    @property
    def whole_segments(self) -> bool:
        """Whether what leaves is a whole number of segments of 1.28 s, whatever the exact length of the sound."""
        return isinstance(self.engine, CodebookEngine)

    @property
    def rate_bits_per_s(self) -> float | None:
        """The most bits per second that can leave a stream; None where nothing bounds them."""
        return self.engine.codebook.rate_bits_per_s(self.permit) if isinstance(self.engine, CodebookEngine) else None

    def permitting(self, tasks: Sequence[str]) -> Filter:
        """The same filter with consent for these tasks alone; none at all is a constant output.

        ConfigError for a task that it was not made for, and for a filter that cannot be switched.
        """
        if isinstance(self.engine, CodebookEngine):
            self.engine.codebook.check_permit(tasks)
            known = self.engine.codebook.tasks
            chosen = tuple(task for task in known if task in tasks)
            return replace(self, engine=replace(self.engine, permit=chosen))
        if sorted(tasks) != sorted(self.permit):
            raise ConfigError(
                f"the filter is to permit {', '.join(tasks) or 'nothing'}; expected {', '.join(self.permit)}, "
                "as it was trained and cannot change: ask for that, or train one with --method codebook."
            )
        return self

    def constant(self, blocks: int) -> Filter:
        """The same filter, but every sound becomes `blocks` blocks that tell one answer: its length does not pass."""
        if not isinstance(self.engine, CodebookEngine):
            raise ConfigError(
                "this filter has no codes, so it cannot send a constant number of them; train a codebook."
            )
        if not 0 <= blocks <= _MOST_BLOCKS:
            raise ConfigError(f"a constant number of blocks is {blocks}; expected 1 to {_MOST_BLOCKS}, or 0 for none.")
        return replace(self, constant_blocks=blocks)

    def forgetting(self, memory: float) -> Filter:
        """The same filter for sound that does not end: what a block heard counts `memory` times as much in the next.

        A codebook trained for recordings, with a memory of 1, would answer for all that it ever heard. Filters without
        codes remember nothing anyway. ConfigError for a memory that is not 0 to 1.
        """
        if not isinstance(self.engine, CodebookEngine):
            return self
        if not 0.0 <= memory <= 1.0:
            raise ConfigError(f"a memory is {memory}; expected 0 (of nothing) to 1 (of everything alike).")
        return replace(self, engine=replace(self.engine, codebook=replace(self.engine.codebook, memory=memory)))

    def obfuscate(self, segments: Wave) -> Spectrum:
        """Obfuscated spectra [S, 161, 128], standardised, of the segments [S, 20480] of one sound at 16 kHz, in order.

        A segment for which the engine gives anything that is not finite is silence; ModelError if the engine fails.
        With constant blocks there are as many spectra as that.
        """
        spectra, state = self._step(segments, self.engine.initial_state())
        return self._recalled(state) if self.constant_blocks else spectra

    def codes(self, segments: Wave) -> NDArray[np.int64]:
        """The codes [B, T] of the blocks that leave for the segments [S, 20480] of one sound; of a codebook alone."""
        engine = self.engine
        if not isinstance(engine, CodebookEngine):
            raise ConfigError("this filter has no codes; train one with --method codebook.")
        found, state = engine.codes(segment.front_end(segments), engine.initial_state())
        return engine.codebook.heard(engine.permit, dict(state)) if self.constant_blocks else found

    def features(self, wav: Wave) -> Spectrum:
        """The obfuscated spectrogram [161, N], standardised, of a sound [T] at 16 kHz, T > 0.

        N is ceil(T / 160); of what comes in whole segments, 128 for each.
        """
        return np.concatenate([*self._features([wav])], axis=1)

    def sound(self, features: Spectrum) -> Wave:
        """The sound [160 N] at 16 kHz, within full scale, of an obfuscated spectrogram [161, N]."""
        return _joined(map(_limited, self._sounds([features])))

    def filter(self, wav: Wave, sample_rate: int = SAMPLE_RATE, permit: Sequence[str] | None = None) -> Wave:
        """What may be heard of the sound `wav` [T] at `sample_rate` Hz -> [T] at the same rate.

        Of what comes in whole segments, T is rounded up to them. `permit` names the tasks that are permitted this time.
        """
        chosen = self if permit is None else self.permitting(permit)
        return _joined(chosen.pieces([wav], sample_rate))

    def stream(self, sample_rate: int = SAMPLE_RATE, output_rate: int | None = None) -> Stream:
        """A stream of its own through this filter, in at `sample_rate` and out at `output_rate` Hz (None: the same)."""
        for rate in (sample_rate, output_rate or sample_rate):
            if not LOWEST_RATE <= rate <= HIGHEST_RATE:
                raise ConfigError(f"sample_rate is {rate} Hz; give {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
        return Stream(self, sample_rate, output_rate or sample_rate)

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
        taken = given = drawn = 0

        def due() -> int:
            """Samples that the sound heard so far becomes."""
            return round(drawn * to_rate / SAMPLE_RATE if self.whole_segments else taken * to_rate / sample_rate)

        def counted() -> Iterator[Wave]:
            nonlocal taken
            for block in blocks:
                taken += len(block)
                yield np.where(np.isfinite(block), block, 0.0).astype(np.float32)

        def features() -> Iterator[Spectrum]:
            nonlocal drawn
            for piece in self._features(resampled(counted(), sample_rate, SAMPLE_RATE)):
                drawn += piece.shape[1] * HOP_SAMPLES
                yield piece

        for piece in resampled(self._sounds(features()), SAMPLE_RATE, to_rate):
            fitted = piece[: due() - given]  # the sound was padded to whole frames
            given += len(fitted)
            yield _limited(fitted)
        yield np.zeros(due() - given, np.float32)  # the resamplers may round down

    def _features(self, blocks: Iterable[Wave]) -> Iterator[Spectrum]:
        """The obfuscated spectrogram of a sound at 16 kHz that comes in `blocks`, in pieces."""
        history, state = np.zeros(0, np.float32), self.engine.initial_state()
        for chunk in regrouped(blocks, _CHUNK_SAMPLES):
            # Only the last segment of the whole sound can reach back over the start of its chunk.
            before = history if len(chunk) % SEGMENT_SAMPLES else history[:0]
            passed = len(before) // SEGMENT_SAMPLES
            both = np.concatenate([before, chunk])
            spectra, state = self._step(segment.cut(both)[passed:], state)
            history = chunk[-SEGMENT_SAMPLES:]
            if self.whole_segments:
                yield np.concatenate([*spectra], axis=1)[:, : 0 if self.constant_blocks else None]
            else:
                unused = np.zeros((passed, BINS, SEGMENT_FRAMES), np.float32)
                yield segment.join(np.concatenate([unused, spectra]), len(both))[:, passed * SEGMENT_FRAMES :]
        if self.constant_blocks:
            yield np.concatenate([*self._recalled(state)], axis=1)

    def _step(self, segments: Wave, state: State) -> tuple[Spectrum, State]:
        """The obfuscated spectra [S, 161, 128] of the next segments [S, 20480] of a sound, and the state after them."""
        try:
            spectra, after = self.engine.step(segment.front_end(segments), state)
        except Exception as error:
            raise ModelError(f"the filter's engine failed ({error}); nothing was passed on.") from error
        finite = np.isfinite(spectra).all(axis=(1, 2), keepdims=True)
        silence = np.float32(-self.config.sound_mean / self.config.sound_std)
        return np.where(finite, spectra, silence), after

    def _recalled(self, state: State) -> Spectrum:
        """The constant number of spectra that tell what was heard of a whole sound."""
        assert isinstance(self.engine, CodebookEngine), "`constant` refuses other engines"
        return self.engine.recall(state, self.constant_blocks)

    def _sounds(self, features: Iterable[Spectrum]) -> Iterator[Wave]:
        """The sound of a spectrogram in pieces, each but the last of a multiple of PIECE_FRAMES."""
        mean, deviation = np.float32(self.config.sound_mean), np.float32(self.config.sound_std)
        magnitudes = (
            magnitude(np.minimum(piece[:, start : start + PIECE_FRAMES] * deviation + mean, _LOUDEST))
            for piece in features
            for start in range(0, piece.shape[1], PIECE_FRAMES)
        )
        return (_GAIN * wav for wav in in_pieces(magnitudes))


def _engine(folder: Path, config: FilterConfig, threads: int) -> Engine:
    """The engine of a filter folder."""
    if config.architecture != CODEBOOK:
        return OnnxEngine(folder / "filter.onnx", threads)
    codebook = Codebook.from_bytes((folder / "codebook.npz").read_bytes())
    encoder = Graph(folder / "filter.onnx", SCORES, (codebook.classes,), threads)
    return CodebookEngine(encoder, codebook, codebook.tasks)


def _limited(wav: Wave) -> Wave:
    """`wav`, bent above half of full scale so that it never exceeds it: a fixed curve, whatever the level."""
    over = np.maximum(np.abs(wav) - _KNEE, np.float32(0.0))
    return np.where(over > 0.0, np.copysign(_KNEE + _KNEE * np.tanh(over / _KNEE), wav), wav)


def _joined(pieces: Iterable[Wave]) -> Wave:
    return np.concatenate([np.zeros(0, np.float32), *pieces])
