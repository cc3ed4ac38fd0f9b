"""A filter that lets through which digits were spoken: sound to codes, and words drawn from the codes alone.

    sound [T] -- frames of 10 ms, encoder --> one of 11 codes each 40 ms -- word table --> sound

Whatever the sound held, the codes are all that passes: equal codes give equal samples, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from sottovoce.audio.blocks import Held
from sottovoce.audio.spectrum import BINS, HOP_SAMPLES, SAMPLE_RATE, Spectrum, Wave
from sottovoce.errors import ConfigError, ModelError
from sottovoce.graphs import session
from sottovoce.models.digit_codes import BLANK, BLOCK_FRAMES, BLOCK_SAMPLES, CODES, encoder_input
from sottovoce.models.word_table import Pace, WordTable, noise
from sottovoce.runtime.engine import Core, Engine, FilterConfig, Rate

BLOCK_S = BLOCK_SAMPLES / SAMPLE_RATE
BITS_PER_BLOCK = math.log2(CODES)
TASK = "digits"
BLOCK_CODES, BLOCK_INPUT, BEFORE, AFTER = "codes", "spectrum", "before/", "after/"  # ports of an encoder's graph
_MOST_STATE = 1 << 20  # numbers

State = Mapping[str, Any]
Step = Callable[[Spectrum, State], tuple[list[int], State]]  # frames [161, 4 n] to n codes


class Codes:
    """The code of each 40 ms of a sound at 16 kHz, as soon as they are there."""

    def __init__(self, step: Step, initial_state: State) -> None:
        self._step, self._state = step, initial_state
        self._held, self._before = Held(), np.zeros(HOP_SAMPLES, np.float32)

    @property
    def between_blocks(self) -> bool:
        """Whether the next sample begins a block."""
        return not self._held.count

    def feed(self, wav: Wave) -> list[int]:
        """The codes of the blocks that are complete once `wav` [T] has come. What is not finite is silence."""
        self._held.put(wav)
        return [code for _ in range(self._held.count // BLOCK_SAMPLES) for code in self._coded()]

    def flush(self) -> list[int]:
        """The code of the last block, filled up with silence."""
        return self._coded() if self._held.count else []

    def _coded(self) -> list[int]:
        block = self._held.take(BLOCK_SAMPLES)
        wav = np.concatenate([self._before, np.pad(block, (0, BLOCK_SAMPLES - len(block)))])
        spectrum = encoder_input(np.where(np.isfinite(wav), wav, np.float32(0.0)))
        codes, self._state = self._step(spectrum[:, 1:], self._state)  # the first frame was there before
        self._before = wav[-HOP_SAMPLES:]
        return codes


@dataclass(frozen=True)
class WordFilter:
    """An encoder (`step`, and the state before a sound), the words, and how they are placed."""

    step: Step
    initial_state: State
    table: WordTable
    pace: Pace = "live"

    def codes(self, blocks: Iterable[Wave]) -> Iterator[int]:
        """The code of each 40 ms of a sound at 16 kHz that comes in `blocks` [T] of any length."""
        codes = Codes(self.step, self.initial_state)
        for block in blocks:
            yield from codes.feed(block)
        yield from codes.flush()

    def filter(self, wav: Wave) -> Wave:
        """What leaves for the sound `wav` [T] at 16 kHz; its length depends on the codes alone."""
        return self.table.draw(list(self.codes([wav])), self.pace)


@dataclass(frozen=True, eq=False)
class WordEngine(Engine):
    """The encoder of a filter folder, as a graph with its state in and out, and the words that its codes stand for.

    `before` is the state before a sound.
    """

    encode: Step
    before: State
    table: WordTable

    @classmethod
    def load(cls, folder: Path, config: FilterConfig, permit: Sequence[str], threads: int) -> Self:
        table = WordTable.from_bytes((folder / "words.npz").read_bytes())
        graph = session(folder / "filter.onnx", threads)
        state = {}
        for port in graph.get_inputs():
            sizes, numbers = port.shape, {"tensor(float)": np.float32, "tensor(int64)": np.int64}.get(port.type)
            fixed = all(isinstance(size, int) for size in sizes) and math.prod(sizes) <= _MOST_STATE
            if port.name == BLOCK_INPUT and sizes == [1, BINS, BLOCK_FRAMES] and numbers is np.float32:
                continue
            if not port.name.startswith(BEFORE) or not fixed or numbers is None:
                raise ModelError(f"the encoder takes {port.name} {port.type} {sizes}; export it again.")
            state[port.name] = np.full(sizes, BLANK if numbers is np.int64 else 0, numbers)
        outputs = [port.name for port in graph.get_outputs()]
        expected = [BLOCK_CODES, *(name.replace(BEFORE, AFTER) for name in state)]
        if sorted(outputs) != sorted(expected):
            raise ModelError(f"the encoder gives {outputs}; expected {expected}: export it again.")

        def encode(frames: Spectrum, state: State) -> tuple[list[int], State]:
            inputs = {BLOCK_INPUT: np.ascontiguousarray(frames, np.float32)[None], **state}
            results = dict(zip(outputs, graph.run(outputs, inputs), strict=True))
            codes = [int(code) if 0 <= code < CODES else BLANK for code in np.ravel(results[BLOCK_CODES])]
            return codes[:1] or [BLANK], {name: results[name.replace(BEFORE, AFTER)] for name in state}

        return cls(config, (TASK,), encode, state, table)

    @property
    def rate(self) -> Rate:
        """The bound: one of 11 codes for each block of 40 ms, or nothing."""
        return Rate(BITS_PER_BLOCK if self.permit else 0.0, BLOCK_S)

    def initial_state(self) -> State:
        return self.before

    def core(self) -> Core:
        return WordCore(self)

    def step(self, inputs: Spectrum, state: State) -> tuple[Spectrum, State]:
        raise ConfigError("this filter says words and has no features; pass sound through it.")

    def sound(self, features: Spectrum) -> Wave:
        raise ConfigError("this filter says words and has no features; pass sound through it.")

    def permitting(self, tasks: Sequence[str]) -> Self:
        if unknown := [task for task in tasks if task != TASK]:
            raise ConfigError(f"this filter has no codes for {', '.join(unknown)}; it can permit {TASK}.")
        return replace(self, permit=tuple(tasks))

    def check_auditable(self) -> None:
        raise ConfigError(
            "a filter of words permits a sequence, which no target here judges; `sottovoce experiment digit-strings` "
            "measures and attacks such filters."
        )


class WordCore(Core):
    """The way through such a filter at 16 kHz: for each block of 40 ms as much sound, with the words that are due.

    A word begins in the block of its code, or after the one that is being played. At the end the last one is finished.
    What comes while nothing is permitted is silence to the encoder, and a block that began so gives no word.
    """

    keeps_length = False

    def __init__(self, engine: WordEngine) -> None:
        self._permit = engine.permit
        self._words = engine.table.words  # made now, so that none takes longer at its first use
        self._draws = bool(engine.permit)  # in the block that is being filled
        self._codes = Codes(engine.encode, engine.initial_state())
        self._noise = np.random.default_rng(0)
        self._due = np.zeros(0, np.float32)  # of words that were begun
        self.lag_samples: int | None = BLOCK_SAMPLES - 1  # the last sample of a block makes it ready

    def switch(self, engine: Engine) -> None:
        self._permit = engine.permit
        self._draws = bool(self._permit) and (self._draws or self._codes.between_blocks)
        if not self._draws:
            self._due = self._due[:0]

    def feed(self, wav: Wave) -> list[Wave]:
        return self._blocks(self._codes.feed, wav if self._permit else np.zeros_like(wav))

    def flush(self) -> list[Wave]:
        last = self._blocks(self._codes.flush)
        while len(self._due):
            last.append(self._block(BLANK))
        return last

    def _blocks(self, work: Callable[..., list[int]], *given: Wave) -> list[Wave]:
        """The sound of the codes that `work` gives."""
        try:
            codes = work(*given)
        except Exception as error:
            raise ModelError(f"the filter's engine failed ({error}); nothing was passed on.") from error
        return [self._block(code) for code in codes]

    def _block(self, code: int) -> Wave:
        """One block of sound, once its code is known."""
        if code != BLANK and self._draws:
            self._due = np.concatenate([self._due, self._words[code]])
        self._draws = bool(self._permit)
        wav = noise(self._noise, BLOCK_SAMPLES)
        due, self._due = self._due[:BLOCK_SAMPLES], self._due[BLOCK_SAMPLES:]
        wav[: len(due)] += due
        return wav
