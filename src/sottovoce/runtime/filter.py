"""A filter: what lets an application have only what its user permitted.

    sound [T] -- 16 kHz, cut --> segments -- front end, engine --> obfuscated spectra -- join --> features [161, N]
    features -- the filter's constants --> magnitude -- a phase of its own --> sound [T]

Level, phase and statistics of the input end at the front end. Where the engine fails there is silence or an exception,
never the input. What a codebook draws comes in whole segments, so that not even a sound's exact length passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce import arguments
from sottovoce.audio.level import checked
from sottovoce.audio.spectrum import SAMPLE_RATE, Spectrum, Wave
from sottovoce.errors import AudioError, ConfigError, ModelError
from sottovoce.models.checkpoint import folder_digest, read_folder
from sottovoce.runtime import bundled
from sottovoce.runtime.codebook import CodebookEngine
from sottovoce.runtime.engine import CODEBOOK, LATENT, WORDS, Engine, FilterConfig, Rate
from sottovoce.runtime.labels import Label, LabelStream, code_names
from sottovoce.runtime.latent import LatentEngine
from sottovoce.runtime.segments import ObfuscatorEngine, Segments
from sottovoce.runtime.stream import FeatureStream, Stream
from sottovoce.runtime.word_filter import WordEngine

_ENGINES = {CODEBOOK: CodebookEngine, WORDS: WordEngine, **dict.fromkeys(LATENT, LatentEngine)}
_MOST_THREADS = 256
_MOST_SAMPLES = 1 << 20  # of a recording in memory, fed at once


@dataclass(frozen=True)
class Filter:
    """A filter folder, ready to run: `card` says what it permits and what was measured of it."""

    engine: Engine
    card: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    path: Path | None = None

    @classmethod
    def load(cls, path: str | Path, threads: int = 1) -> Filter:
        """The filter in the folder `path`, or the bundled filter of that name, on `threads` threads.

        ModelError says what is wrong with it, ConfigError where the name stands for two filters: see `bundled.find`.
        """
        folder = bundled.find(path) if isinstance(path, str) else arguments.path(path, "path")
        threads = arguments.whole(threads, "threads", 1, _MOST_THREADS)
        card = read_folder(folder, "filter")
        try:
            config = FilterConfig.parse((folder / "config.json").read_text(encoding="utf-8"))
            kind: Any = _ENGINES.get(config.architecture, ObfuscatorEngine)
            engine = kind.load(folder, config, card.get("permit", ()), threads)
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{folder} has an unreadable file ({error}); train the filter again.") from error
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from error
        return cls(engine, card, folder_digest(card), folder)

    @property
    def config(self) -> FilterConfig:
        """What `config.json` says."""
        return self.engine.config

    @property
    def permit(self) -> tuple[str, ...]:
        """The tasks that are permitted now."""
        return self.engine.permit

    @property
    def rate(self) -> Rate | None:
        """The most that can leave with each block while these tasks are permitted; None where nothing bounds it."""
        return self.engine.rate

    @property
    def block_s(self) -> float:
        """Seconds of sound for which one code, or one segment, leaves."""
        return self.engine.block_s

    def permitting(self, tasks: Sequence[str]) -> Filter:
        """The same filter with consent for these tasks alone; none at all is a constant output.

        ConfigError for a task that it was not made for, and for a filter that cannot be switched.
        """
        return self._with(self.engine.permitting(arguments.texts(tasks, "tasks")))

    def constant(self, blocks: int) -> Filter:
        """The same filter, but every sound becomes `blocks` blocks that tell one answer: its length does not pass.

        ConfigError for a filter without codes, and for a number out of range; 0 is as many blocks as the sound has.
        """
        return self._with(self.engine.constant(arguments.whole(blocks, "blocks", -_MOST_SAMPLES, _MOST_SAMPLES)))

    def forgetting(self, memory: float) -> Filter:
        """The same filter for sound that does not end: a block counts `memory` times as much in the next one.

        A codebook trained for recordings, with a memory of 1, would answer for all that it ever got. Filters without
        codes remember nothing anyway. ConfigError for a memory that is not 0 to 1.
        """
        return self._with(self.engine.forgetting(arguments.share(memory, "memory")))

    def _with(self, engine: Engine) -> Filter:
        return self if engine is self.engine else replace(self, engine=engine)

    def obfuscate(self, segments: Wave) -> Spectrum:
        """Obfuscated spectra [S, 161, 128], standardised, of the segments [S, 20480] of one sound at 16 kHz, in order.

        A segment for which the engine gives anything that is not finite is silence; ModelError if the engine fails.
        With constant blocks there are as many spectra as that.
        """
        spectra, state = self.engine.advance(segments, self.engine.initial_state())
        return self.engine.recall(state) if self.engine.constant_blocks else spectra

    def features(self, wav: Wave) -> Spectrum:
        """The obfuscated spectrogram [161, N], standardised, of a sound [T] at 16 kHz, T > 0.

        N is ceil(T / 160); of what comes in whole segments, 128 for each. Of a filter of latents, they: [D, segments].
        """
        segments = Segments(self.engine)
        sound = checked(wav)
        if not len(sound):
            raise AudioError("got a sound without samples; expected one or more.")
        return np.concatenate([*segments.feed(sound), *segments.flush()], axis=1)

    def sound(self, features: Spectrum) -> Wave:
        """The sound [160 N] at 16 kHz, within full scale, of an obfuscated spectrogram [161, N]."""
        shape = np.shape(features) if isinstance(features, np.ndarray) else None
        if shape is None or len(shape) != 2 or shape[0] != self.engine.rows or not shape[1]:
            got = type(features).__name__ if shape is None else f"shape {shape}"
            raise ConfigError(f"got features of {got}; expected an array [{self.engine.rows}, N], N > 0.")
        return self.engine.sound(features)

    def filter(self, wav: Wave, sample_rate: int = SAMPLE_RATE, permit: Sequence[str] | None = None) -> Wave:
        """The obfuscated sound [T] of the sound `wav` [T] at `sample_rate` Hz, at the same rate.

        Of what comes in whole segments, T is rounded up to them. `permit` names the tasks that are permitted this time.
        """
        chosen = self if permit is None else self.permitting(permit)
        return np.concatenate([np.zeros(0, np.float32), *chosen.pieces([wav], sample_rate)])

    def labels(self, wav: Wave, sample_rate: int = SAMPLE_RATE, permit: Sequence[str] | None = None) -> list[Label]:
        """What leaves for the sound `wav` [T] at `sample_rate` Hz as data: rows (start_s, end_s, task, answer).

        There is one for each block and permitted task, in order; `answer` is a class, or None where the block holds
        nothing of what is permitted. Rows hold what the codewords hold, so the bound is the same. Of constant blocks,
        one row for each task answers for the whole sound. ConfigError for a filter without codes.
        """
        return list((self if permit is None else self.permitting(permit)).answers([wav], sample_rate))

    def answers(self, blocks: Iterable[Wave], sample_rate: int = SAMPLE_RATE) -> Iterator[Label]:
        """What `labels` returns for the joined `blocks` [T], row by row as they become ready, however they are cut."""
        for rows in _fed(self.label_stream(sample_rate), blocks):
            yield from rows

    def pieces(
        self, blocks: Iterable[Wave], sample_rate: int = SAMPLE_RATE, output_rate: int | None = None
    ) -> Iterator[Wave]:
        """What `filter` returns for the joined `blocks` [T], in bounded memory, however they are cut.

        In at `sample_rate`, out at `output_rate` Hz (if None, the same). Some pieces may be empty.
        """
        yield from _fed(self.stream(sample_rate, output_rate), blocks)

    def stream(self, sample_rate: int = SAMPLE_RATE, output_rate: int | None = None) -> Stream:
        """A sound on its way through this filter: in at `sample_rate`, out at `output_rate` Hz (if None, the same).

        ConfigError for a filter whose latents cannot be heard.
        """
        return Stream(self.engine, sample_rate, output_rate)

    def feature_stream(self, sample_rate: int = SAMPLE_RATE) -> FeatureStream:
        """A sound at `sample_rate` Hz on its way to the features of this filter."""
        return FeatureStream(self.engine, sample_rate)

    def label_stream(self, sample_rate: int = SAMPLE_RATE) -> LabelStream:
        """A sound at `sample_rate` Hz on its way to the labels of this filter; ConfigError for one without codes."""
        engine = self.engine.answers()
        return LabelStream(engine, code_names(engine.vocabulary(), self.card), sample_rate)


def _fed(stream: Any, blocks: Iterable[Wave]) -> Iterator[Any]:
    """What a stream gives for the joined `blocks`, in bounded memory."""
    for block in map(checked, blocks):
        for start in range(0, len(block), _MOST_SAMPLES):
            yield stream.feed(block[start : start + _MOST_SAMPLES])
    yield stream.flush()
