"""A filter: what lets an application hear only what its user permitted.

    sound [T] -- 16 kHz, cut --> segments -- front end, engine --> obfuscated spectra -- join --> features [161, N]
    features -- the filter's constants --> magnitude -- a phase of its own --> sound [T]

Level, phase and statistics of the input end at the front end. Where the engine fails there is silence or an exception,
never the input. What a codebook draws comes in whole segments, so that not even a sound's exact length passes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio import level, segment
from sottovoce.audio.griffin_lim import griffin_lim
from sottovoce.audio.level import limited
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_S, Spectrum, Wave, magnitude
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.checkpoint import folder_digest, read_folder
from sottovoce.models.codebook import Codebook
from sottovoce.runtime.engine import (
    CODEBOOK,
    LATENT,
    SCORES,
    WORDS,
    CodebookEngine,
    Engine,
    FilterConfig,
    Graph,
    OnnxEngine,
    Rate,
    State,
)
from sottovoce.runtime.latent import LatentEngine
from sottovoce.runtime.segments import CodewordVocoder, SegmentCore, Segments, SpectrogramVocoder, Vocoder, in_segments
from sottovoce.runtime.stream import Core, Stream
from sottovoce.runtime.word_filter import WordCore, WordEngine

_MOST_SAMPLES = 1 << 20  # of a recording in memory, fed at once
_MOST_WORDS = 512  # whose sounds are kept, 40 MiB; of a larger codebook each is made anew whenever it is drawn
_GAIN = np.float32(level.LEVEL_RMS / segment.LEVEL_RMS)  # from the front end's level to that of a sound file
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
    words: dict[bytes, Wave] = field(default_factory=dict, repr=False, compare=False)  # sounds made already

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
        if isinstance(self.engine, (CodebookEngine, WordEngine)):
            return self.engine.permit
        return tuple(self.card.get("permit", ()))

    @property
    def whole_segments(self) -> bool:
        """Whether what leaves is a whole number of segments of 1.28 s, whatever the exact length of the sound."""
        return isinstance(self.engine, (CodebookEngine, LatentEngine))

    @property
    def sounds(self) -> bool:
        """Whether what leaves can be heard; latents can only be read."""
        return not isinstance(self.engine, LatentEngine)

    @property
    def rows(self) -> int:
        """How many numbers each frame of the features has."""
        return self.config.settings["latent"] if isinstance(self.engine, LatentEngine) else BINS

    @property
    def rate(self) -> Rate | None:
        """The most that can leave with each block while these tasks are permitted; None where nothing bounds it."""
        return self.engine.rate

    def permitting(self, tasks: Sequence[str]) -> Filter:
        """The same filter with consent for these tasks alone; none at all is a constant output.

        ConfigError for a task that it was not made for, and for a filter that cannot be switched.
        """
        if isinstance(self.engine, CodebookEngine):
            self.engine.codebook.check_permit(tasks)
            known = self.engine.codebook.tasks
            chosen = tuple(task for task in known if task in tasks)
            return replace(self, engine=replace(self.engine, permit=chosen))
        if isinstance(self.engine, WordEngine):
            self.engine.check_permit(tasks)
            return replace(self, engine=replace(self.engine, permit=tuple(tasks)))
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
        spectra, state = self.step(segments, self.engine.initial_state())
        return self.recalled(state) if self.constant_blocks else spectra

    def codes(self, segments: Wave) -> NDArray[np.int64]:
        """The codes [B, T] of the blocks that leave for the segments [S, 20480] of one sound; of a codebook alone."""
        engine = self.engine
        if not isinstance(engine, CodebookEngine):
            raise ConfigError("this filter has no codes; train one with --method codebook.")
        found, state = engine.codes(engine.front_end(segments), engine.initial_state())
        return engine.codebook.heard(engine.permit, dict(state)) if self.constant_blocks else found

    def features(self, wav: Wave) -> Spectrum:
        """The obfuscated spectrogram [161, N], standardised, of a sound [T] at 16 kHz, T > 0.

        N is ceil(T / 160); of what comes in whole segments, 128 for each. Of a filter of latents, they: [D, segments].
        """
        segments = Segments(self)
        return np.concatenate([*segments.feed(wav), *segments.flush()], axis=1)

    def read(self, latents: Spectrum) -> dict[str, NDArray[np.float32]]:
        """What the application makes of latents [S, D, 1]: log posteriors [S, K] of each permitted task."""
        if not isinstance(self.engine, LatentEngine):
            raise ConfigError("this filter sends spectra, which its targets read; only latents have a reader.")
        return self.engine.read(latents)

    def sound(self, features: Spectrum) -> Wave:
        """The sound [160 N] at 16 kHz, within full scale, of an obfuscated spectrogram [161, N]."""
        vocoder = self.vocoder()
        return limited(_joined([*map(vocoder.feed, in_segments(features)), vocoder.flush()]))

    def filter(self, wav: Wave, sample_rate: int = SAMPLE_RATE, permit: Sequence[str] | None = None) -> Wave:
        """What may be heard of the sound `wav` [T] at `sample_rate` Hz -> [T] at the same rate.

        Of what comes in whole segments, T is rounded up to them. `permit` names the tasks that are permitted this time.
        """
        chosen = self if permit is None else self.permitting(permit)
        return _joined(chosen.pieces([wav], sample_rate))

    def pieces(
        self, blocks: Iterable[Wave], sample_rate: int = SAMPLE_RATE, output_rate: int | None = None
    ) -> Iterator[Wave]:
        """What `filter` returns for the joined `blocks` [T], in bounded memory, however they are cut.

        In at `sample_rate`, out at `output_rate` Hz (if None, the same). Some pieces may be empty.
        """
        stream = self.stream(sample_rate, output_rate)
        for block in blocks:
            for start in range(0, len(block), _MOST_SAMPLES):
                yield stream.feed(block[start : start + _MOST_SAMPLES])
        yield stream.flush()

    def stream(self, sample_rate: int = SAMPLE_RATE, output_rate: int | None = None) -> Stream:
        """A sound on its way through this filter: in at `sample_rate`, out at `output_rate` Hz (if None, the same).

        ConfigError for a filter whose latents cannot be heard.
        """
        if not self.sounds:
            raise ConfigError("this filter sends latents, which cannot be heard; ask for its features.")
        return Stream(self, sample_rate, output_rate)

    def core(self) -> Core:
        """What is between the resamplers of a stream."""
        return WordCore(self.engine) if isinstance(self.engine, WordEngine) else SegmentCore(self)

    def vocoder(self) -> Vocoder:
        """What makes the sound of features; that of codewords is made now, so that none takes longer when it is new."""
        if not self.whole_segments:
            return SpectrogramVocoder(self._magnitude)
        self.make_codewords()
        return CodewordVocoder(self._word)

    def make_codewords(self, for_any_consent: bool = False) -> None:
        """Make the sound of every codeword that can be drawn while these tasks are permitted, or any of them is not."""
        if not isinstance(self.engine, CodebookEngine) or not self._keeps_sounds:
            return
        book = self.engine.codebook
        tasks = zip(book.tasks, book.sizes, strict=True)
        least = 0 if for_any_consent else 1
        codes = [range(least, size + 1) if task in self.permit else (0,) for task, size in tasks]
        for position, *joint in product(range(len(book.words)), *codes):
            self._word(book.draw(np.array([joint]), np.array([position]))[0])

    @property
    def block_segments(self) -> int:
        """How many segments of 1.28 s the engine hears before it answers."""
        return self.engine.codebook.block_segments if isinstance(self.engine, CodebookEngine) else 1

    @property
    def block_s(self) -> float:
        """Seconds of sound for which one code, or one segment, leaves."""
        return self.rate.block_s if self.rate else SEGMENT_S

    def step(self, segments: Wave, state: State) -> tuple[Spectrum, State]:
        """The obfuscated spectra [S, 161, 128] of the next segments [S, 20480] of a sound, and the state after them."""
        if isinstance(self.engine, WordEngine):
            raise ConfigError("this filter says words and has no features; pass sound through it.")
        try:
            spectra, after = self.engine.step(self.engine.front_end(segments), state)
        except Exception as error:
            raise ModelError(f"the filter's engine failed ({error}); nothing was passed on.") from error
        finite = np.isfinite(spectra).all(axis=(1, 2), keepdims=True)
        silence = np.float32(-self.config.sound_mean / self.config.sound_std)
        return np.where(finite, spectra, silence), after

    def recalled(self, state: State) -> Spectrum:
        """The constant number of spectra that tell what was heard of a whole sound."""
        assert isinstance(self.engine, CodebookEngine), "`constant` refuses other engines"
        return self.engine.recall(state, self.constant_blocks)

    def vocabulary(self) -> Wave:
        """The sound of every word of a codebook, with margins, [W, 160 N + 2 margins], in the order of its table."""
        assert isinstance(self.engine, CodebookEngine), "other filters have no words"
        book = self.engine.codebook
        places = np.array(list(np.ndindex(book.words.shape[:-2])))
        return np.stack([self._word(spectrum) for spectrum in book.draw(places[:, 1:], places[:, 0])])

    def _magnitude(self, features: Spectrum) -> Spectrum:
        """The magnitude that features stand for, by the constants of the filter."""
        mean, deviation = np.float32(self.config.sound_mean), np.float32(self.config.sound_std)
        return _GAIN * magnitude(np.minimum(features * deviation + mean, _LOUDEST))

    def _word(self, features: Spectrum) -> Wave:
        """The sound of features [161, N], with margins, made once."""
        if not self._keeps_sounds:
            return griffin_lim(self._magnitude(features))
        key = hashlib.blake2b(features.tobytes(), digest_size=16).digest()
        if key not in self.words:
            self.words[key] = griffin_lim(self._magnitude(features))
        return self.words[key]

    @property
    def _keeps_sounds(self) -> bool:
        book = self.engine.codebook if isinstance(self.engine, CodebookEngine) else None
        return book is not None and math.prod(book.words.shape[:-2]) <= _MOST_WORDS


def _engine(folder: Path, config: FilterConfig, threads: int) -> Engine:
    """The engine of a filter folder."""
    if config.architecture in LATENT:
        return LatentEngine(folder, config, threads)
    if config.architecture == WORDS:
        return WordEngine.load(folder, threads)
    if config.architecture != CODEBOOK:
        return OnnxEngine(folder / "filter.onnx", threads)
    codebook = Codebook.from_bytes((folder / "codebook.npz").read_bytes())
    encoder = Graph(folder / "filter.onnx", SCORES, (codebook.classes,), threads)
    return CodebookEngine(encoder, codebook, codebook.tasks)


def _joined(pieces: Iterable[Wave]) -> Wave:
    return np.concatenate([np.zeros(0, np.float32), *pieces])
