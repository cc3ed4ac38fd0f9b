"""What every engine of a filter answers, and the two things that engines are made of: an ONNX graph and config.json."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from reprlib import repr as short
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio import level, segment
from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_S, Spectrum, Wave, magnitude
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import read_json
from sottovoce.graphs import session
from sottovoce.models.codebook import Codebook

INPUT = "spectrum"
SOUND = "sound"  # the input of an encoder that takes sound at its true level
OUTPUT = "obfuscated"
SCORES = "log_posteriors"
TAKES_SOUND = "takes_sound"  # a setting of a codebook filter: whether its encoder takes sound, and not spectra
State = Mapping[str, NDArray[Any]]
BATCH = 16  # segments at once: enough to keep a core busy, 20 MiB for every 16 channels of a layer

CODEBOOK = "codebook"  # the architecture of filters that draw spectra from codes
WORDS = "words"  # and of those that play a spoken word where its code comes
ADR = {
    "x-vector": "adr",
    "pretrained": "adr-pretrained",
    "campplus": "adr-campplus",
}  # those of embeddings, by what makes them
LATENT = ("rdal", *ADR.values())  # those of filters whose features are latents

_GAIN = np.float32(level.LEVEL_RMS / segment.LEVEL_RMS)  # from the front end's level to that of a sound file
# A magnitude is at most the norm of the window, 11.3, times that of the samples, 143 in a segment of RMS 1.
_LOUDEST = np.float32(math.log1p(1613.0))


@dataclass(frozen=True)
class Rate:
    """The bound: at most `bits_per_block` bits leave with each block of `block_s` seconds, whoever listens.

    A sound that is shorter than a block is a block all the same, so nothing is bounded per second of speech.
    """

    bits_per_block: float
    block_s: float

    def window_bits(self, seconds: float) -> float:
        """The most that any window of so many seconds of a stream can reveal: it may begin in the middle of a block."""
        return self.bits_per_block * (math.ceil(seconds / self.block_s) + 1)


@dataclass(frozen=True)
class FilterConfig:
    """What `config.json` says: which network, and the mean and deviation of log spectra that its sound is given."""

    front_end: int
    architecture: str
    settings: Mapping[str, int]
    sound_mean: float
    sound_std: float

    @classmethod
    def parse(cls, text: str) -> FilterConfig:
        """From JSON; ModelError for anything unknown, missing, of another version or not finite."""
        try:
            content = read_json(text)
        except ModelError as error:
            raise ModelError(f"config.json: {error}") from error
        known = [item.name for item in fields(cls)]
        if sorted(content) != sorted(known):
            raise ModelError(f"config.json holds {short(sorted(content))}; expected just {known}: train it again.")
        if content["front_end"] != FRONT_END:
            raise ModelError(
                f"the filter was trained with front end {short(content['front_end'])}, this version has {FRONT_END}; "
                "train it again, or use the version of sottovoce that its card names."
            )
        if not isinstance(content["architecture"], str) or not isinstance(content["settings"], dict):
            raise ModelError("config.json: 'architecture' must be a name and 'settings' a table; train it again.")
        for name in ("sound_mean", "sound_std"):
            number = content[name]
            if not isinstance(number, (int, float)) or isinstance(number, bool):
                raise ModelError(f"config.json: {name} is {short(number)}; expected a finite number: train it again.")
        if content["sound_std"] <= 0:
            raise ModelError(f"config.json: sound_std is {content['sound_std']}; expected more than 0: train it again.")
        return cls(**content)

    @property
    def silence(self) -> np.float32:
        """What silence is among standardised log spectra."""
        return np.float32(-self.sound_mean / self.sound_std)

    def magnitude(self, features: Spectrum) -> Spectrum:
        """The magnitude [161, N] that features [161, N] stand for."""
        log = features * np.float32(self.sound_std) + np.float32(self.sound_mean)
        return _GAIN * magnitude(np.minimum(log, _LOUDEST))


class Graph:
    """An ONNX graph from `input_name` [B, *input_shape] to one tensor `output` [B, *shape], on `threads` threads.

    From a file or its bytes; by default an obfuscator of spectra. Nothing is remembered from one segment to the next.
    ModelError if it is not such a graph.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        output: str = OUTPUT,
        shape: Sequence[int] = (BINS, SEGMENT_FRAMES),
        threads: int = 1,
        input_name: str = INPUT,
        input_shape: Sequence[int] = (BINS, SEGMENT_FRAMES),
    ) -> None:
        name = "the ONNX model" if isinstance(model, bytes) else str(model)
        self._input, self._input_shape = input_name, tuple(input_shape)
        self._output, self._shape = output, tuple(shape)
        self._session = session(model, threads)
        sides = (
            (self._session.get_inputs(), input_name, [*input_shape]),
            (self._session.get_outputs(), output, [*shape]),
        )
        for ports, expected, sizes in sides:
            present = [(port.name, port.type, port.shape[1:]) for port in ports]
            if present != [(expected, "tensor(float)", sizes)]:
                form = f"one float tensor '{expected}' [batch, {', '.join(map(str, sizes))}]"
                raise ModelError(f"{name} takes or gives {present}; expected {form}: export it again.")

    def like(self, model: bytes) -> Graph:
        """Another graph of the same form."""
        return Graph(model, self._output, self._shape, 1, self._input, self._input_shape)

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs [S, *shape] for inputs [S, *input_shape], in batches."""
        outputs = np.empty((len(inputs), *self._shape), np.float32)
        for start in range(0, len(inputs), BATCH):
            batch = np.ascontiguousarray(inputs[start : start + BATCH], dtype=np.float32)
            outputs[start : start + BATCH] = self._session.run([self._output], {self._input: batch})[0]
        return outputs


class Core(Protocol):
    """Sound at 16 kHz to sound at 16 kHz, in pieces whose borders depend on their position alone.

    `feed` returns the sound that is ready once `wav` [T] has come, `flush` the rest, and `switch` continues with the
    same engine that permits other tasks. `lag_samples` are at most held back; None: all, until the end. `keeps_length`:
    whether as much comes out as went in.
    """

    lag_samples: int | None
    keeps_length: bool

    def switch(self, engine: Engine) -> None: ...

    def feed(self, wav: Wave) -> list[Wave]: ...

    def flush(self) -> list[Wave]: ...


@dataclass(frozen=True, eq=False)
class Engine(ABC):
    """What turns sound into what leaves a filter, while the tasks of `permit` are permitted.

    The methods here are the answers of an engine that was trained for fixed tasks and that draws from no codes. What an
    engine cannot do it refuses by ConfigError. Its state is a table of arrays that goes in and comes out. A class that
    a filter folder may hold has `load(folder, config, permit, threads)`, which raises ModelError for damaged files.
    """

    config: FilterConfig
    permit: tuple[str, ...]
    constant_blocks: int = field(default=0, kw_only=True)  # of every sound, whatever its length; 0: as many as it has

    playable: ClassVar[bool] = True  # whether what leaves is sound, or can be made sound
    whole_segments: ClassVar[bool] = False  # whether whole segments of 1.28 s leave, whatever the length of the sound

    @property
    def rows(self) -> int:
        """How many numbers each frame of the features has."""
        return BINS

    @property
    def rate(self) -> Rate | None:
        """The most that can leave with each block while these tasks are permitted; None where nothing bounds it."""
        return None

    @property
    def block_segments(self) -> int:
        """How many segments of 1.28 s the engine needs before it answers."""
        return 1

    @property
    def block_s(self) -> float:
        """Seconds of sound for which one code, or one segment, leaves."""
        return self.rate.block_s if self.rate else SEGMENT_S

    @abstractmethod
    def core(self) -> Core:
        """What is between the resamplers of a stream; ConfigError where what leaves cannot be heard."""

    @abstractmethod
    def step(self, inputs: NDArray[np.float32], state: State) -> tuple[Spectrum, State]:
        """The features [S, rows, n] of what `front_end` makes of S segments, and the state after them."""

    @abstractmethod
    def sound(self, features: Spectrum) -> Wave:
        """The sound [160 N] at 16 kHz, within full scale, of features [161, N]."""

    def front_end(self, segments: Wave) -> NDArray[np.float32]:
        """The inputs of `step`: by default standardised log spectra [S, 161, 128] of segments [S, 20480]."""
        return segment.front_end(segments)

    def initial_state(self) -> State:
        """The state before a sound."""
        return {}

    def advance(self, segments: Wave, state: State) -> tuple[Spectrum, State]:
        """The features of the next segments [S, 20480] of a sound, and the state after them.

        A segment for which anything is not finite is silence; ModelError if the engine fails.
        """
        try:
            spectra, after = self.step(self.front_end(segments), state)
        except ConfigError:
            raise
        except Exception as error:
            raise ModelError(f"the filter's engine failed ({error}); nothing was passed on.") from error
        finite = np.isfinite(spectra).all(axis=(1, 2), keepdims=True)
        return np.where(finite, spectra, self.config.silence), after

    def permitting(self, tasks: Sequence[str]) -> Self:
        """The same engine with consent for these tasks alone; none at all is a constant output."""
        if sorted(tasks) != sorted(self.permit):
            raise ConfigError(
                f"the filter is to permit {', '.join(tasks) or 'nothing'}; expected {', '.join(self.permit)}, "
                "as it was trained and cannot change: ask for that, or train one with --method codebook."
            )
        return self

    def constant(self, blocks: int) -> Self:
        """The same engine, but every sound becomes `blocks` blocks of one code; 0: as many blocks as it has."""
        raise ConfigError("this filter has no codes, so it cannot send a constant number of them; train a codebook.")

    def forgetting(self, memory: float) -> Self:
        """The same engine, in which a block counts `memory` times as much in the next; others remember nothing."""
        return self

    def codes(self, segments: Wave) -> NDArray[np.int64]:
        """The codes [B, T] of the blocks that leave for the segments [S, 20480] of one sound."""
        raise ConfigError("this filter has no codes; train one with --method codebook.")

    def answers(self) -> Engine:
        """The same engine, whose features are the codes that leave, [S, T, 1], and -1 for a task without consent."""
        raise ConfigError("this filter has no codes, so it has no labels; train one with --method codebook.")

    def code_sizes(self) -> Mapping[str, int]:
        """How many codes each task has now: 1 where it is revoked. Empty for an engine without codes."""
        return {}

    def recall(self, state: State) -> Spectrum:
        """The constant number of spectra that stand for the whole sound that led to `state`."""
        raise ConfigError("this filter has no codes; train one with --method codebook.")

    def vocabulary(self) -> Codebook:
        """The codebook that holds all that can leave."""
        raise ConfigError("this filter has no codewords: what it lets through is not limited to a list; see its audit.")

    def make_codewords(self) -> None:  # noqa: B027  (nothing to make is an answer)
        """Make the sounds that can leave now, or with other consent, so that none takes longer at its first use."""

    def read(self, latents: Spectrum) -> dict[str, NDArray[np.float32]]:
        """What the application makes of latents [S, D, 1]: log posteriors [S, K] of each permitted task."""
        raise ConfigError("this filter sends spectra, which its targets read; only latents have a reader.")

    def decoder(self) -> Codebook | None:
        """What decodes the output of the engine's graph, for export as one graph; None where it is what leaves."""
        raise ConfigError("a filter of this kind cannot be one graph; expected a codebook or an obfuscator of spectra.")

    def network(self) -> Graph:
        """The graph that the engine runs, without a state of its own."""
        raise ConfigError("the graph of a filter of this kind cannot be replaced by one in 8 bits; leave --int8 out.")

    def differences(self, outputs: NDArray[np.float32], expected: NDArray[np.float32]) -> dict[str, float]:
        """How far outputs of the graph are from those that are `expected`: the root mean square of the deviation."""
        return {"deviation": float(np.sqrt(np.square(outputs - expected).mean()))}

    def check_auditable(self) -> None:  # noqa: B027
        """ConfigError where an audit by segments, as it is made of any other filter, would not fit."""
