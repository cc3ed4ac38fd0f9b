"""What ships in a filter: an ONNX graph, run by onnxruntime on the processor, that obfuscates or that finds codes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from reprlib import repr as short
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio import segment
from sottovoce.audio.segment import FRONT_END
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, Spectrum, Wave
from sottovoce.errors import ModelError
from sottovoce.files import read_json
from sottovoce.graphs import session
from sottovoce.models.codebook import Codebook

INPUT = "spectrum"
OUTPUT = "obfuscated"
SCORES = "log_posteriors"
State = Mapping[str, NDArray[Any]]
BATCH = 16  # segments at once: enough to keep a core busy, 20 MiB for every 16 channels of a layer


@dataclass(frozen=True)
class Rate:
    """The bound: at most `bits_per_block` bits leave with each block of `block_s` seconds, whoever listens.

    A sound that is shorter than a block is a block all the same, so nothing is bounded per second of speech.
    """

    bits_per_block: float
    block_s: float

    def sound_bits(self, seconds: float) -> float:
        """The most that can leave of a sound of so many seconds."""
        return self.bits_per_block * math.ceil(seconds / self.block_s)

    def window_bits(self, seconds: float) -> float:
        """The most that any window of so many seconds of a stream can tell: it may begin in the middle of a block."""
        return self.bits_per_block * (math.ceil(seconds / self.block_s) + 1)


class Engine(Protocol):
    """Whatever turns the spectra [S, 161, 128] of a sound, in order, into obfuscated ones of the same shape.

    `front_end` makes what it hears of segments [S, 20480]: those spectra, unless it says otherwise. What it remembers
    of a sound is a table of arrays that goes in and comes out. `rate` is None where nothing bounds what leaves.
    """

    @property
    def rate(self) -> Rate | None: ...

    def front_end(self, segments: Wave) -> NDArray[np.float32]: ...

    def initial_state(self) -> State: ...

    def step(self, spectra: Spectrum, state: State) -> tuple[Spectrum, State]: ...


class Graph:
    """An ONNX graph from `hears` [B, *heard] to one tensor `output` [B, *shape], on `threads` threads.

    From a file or its bytes. Nothing is remembered from one segment to the next. ModelError if it is not such a graph.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        output: str,
        shape: Sequence[int],
        threads: int = 1,
        hears: str = INPUT,
        heard: Sequence[int] = (BINS, SEGMENT_FRAMES),
    ) -> None:
        name = "the ONNX model" if isinstance(model, bytes) else str(model)
        self._hears, self._heard, self._output, self._shape = hears, tuple(heard), output, tuple(shape)
        self._session = session(model, threads)
        sides = (
            (self._session.get_inputs(), hears, [*heard]),
            (self._session.get_outputs(), output, [*shape]),
        )
        for ports, expected, sizes in sides:
            found = [(port.name, port.type, port.shape[1:]) for port in ports]
            if found != [(expected, "tensor(float)", sizes)]:
                wanted = f"one float tensor '{expected}' [batch, {', '.join(map(str, sizes))}]"
                raise ModelError(f"{name} takes or gives {found}; expected {wanted}: export it again.")

    def like(self, model: bytes) -> Graph:
        """Another graph of the same shape."""
        return Graph(model, self._output, self._shape, hears=self._hears, heard=self._heard)

    def run(self, spectra: Spectrum) -> NDArray[np.float32]:
        """What the graph makes of [S, *heard]: [S, *shape], in batches."""
        found = np.empty((len(spectra), *self._shape), np.float32)
        for start in range(0, len(spectra), BATCH):
            batch = np.ascontiguousarray(spectra[start : start + BATCH], dtype=np.float32)
            found[start : start + BATCH] = self._session.run([self._output], {self._hears: batch})[0]
        return found


class OnnxEngine(Graph):
    """An obfuscator [B, 161, 128] -> [B, 161, 128] that takes each segment by itself."""

    front_end = staticmethod(segment.front_end)
    rate = None

    def __init__(self, model: str | os.PathLike[str] | bytes, threads: int = 1) -> None:
        super().__init__(model, OUTPUT, (BINS, SEGMENT_FRAMES), threads)

    def initial_state(self) -> State:
        """Nothing."""
        return {}

    def step(self, spectra: Spectrum, state: State) -> tuple[Spectrum, State]:
        """Obfuscated spectra [S, 161, 128] of standardised log spectra [S, 161, 128]."""
        return self.run(spectra), state


@dataclass(frozen=True, eq=False)
class CodebookEngine:
    """Draws the spectra of the codes of what is heard; tasks that are not in `permit` have a constant code.

    `encoder` gives the log posteriors of all tasks of the codebook side by side, [S, C].
    """

    encoder: Graph
    codebook: Codebook
    permit: tuple[str, ...]
    front_end = staticmethod(segment.front_end)

    @property
    def rate(self) -> Rate:
        """The bound for the tasks that are permitted now."""
        return Rate(self.codebook.bits_per_block(self.permit), self.codebook.block_s)

    def initial_state(self) -> State:
        """Nothing heard, nothing drawn."""
        return self.codebook.initial_state()

    def step(self, spectra: Spectrum, state: State) -> tuple[Spectrum, State]:
        """Spectra [S, 161, 128] drawn from the codes of standardised log spectra [S, 161, 128] of a sound, in order."""
        codes, positions, after = self.codebook.codes(self.encoder.run(spectra), self.permit, dict(state))
        return self.codebook.draw(codes, positions), after

    def codes(self, spectra: Spectrum, state: State) -> tuple[NDArray[np.int64], State]:
        """The code of each block [B, T] that `step` would draw."""
        codes, _, after = self.codebook.codes(self.encoder.run(spectra), self.permit, dict(state))
        return codes[:: self.codebook.block_segments], after

    def recall(self, state: State, blocks: int) -> Spectrum:
        """As many spectra as `blocks` has segments, drawn from the codes of all that was heard."""
        codes = self.codebook.heard(self.permit, dict(state))
        segments = np.arange(blocks * self.codebook.block_segments)
        positions = np.minimum(segments // self.codebook.block_segments, len(self.codebook.words) - 1)
        return self.codebook.draw(np.repeat(codes, len(segments), axis=0), positions)


CODEBOOK = "codebook"  # the architecture of filters that draw from codes
WORDS = "words"  # and of those that say words where their codes come
ADR = {"x-vector": "adr", "pretrained": "adr-pretrained"}  # those of embeddings, by what makes them
LATENT = ("rdal", *ADR.values())  # those of filters whose features are latents


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
