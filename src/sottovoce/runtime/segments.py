"""Engines that work on a segment of 1.28 s at a time: sound to features, features to sound, whatever the pieces.

All that is remembered of a sound is in these objects, and the borders of what they work on depend on position alone: so
the samples are the same however the sound was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio import segment
from sottovoce.audio.blocks import Held
from sottovoce.audio.griffin_lim import OVERLAP_FRAMES, Crossfade, PhaseContinuation
from sottovoce.audio.level import limited
from sottovoce.audio.spectrum import BINS, HOP_SAMPLES, SEGMENT_FRAMES, SEGMENT_SAMPLES, Spectrum, Wave
from sottovoce.runtime.engine import Core, Engine, FilterConfig, Graph, State


class Segments:
    """Sound at 16 kHz to the obfuscated spectrogram of it; a block of segments is worked on once it is there.

    A task is permitted in a block if it was permitted all through it: what is revoked ends at once, and consent begins
    with the next whole block. Nothing that leaves depends on sound that a permitted task was not to know of.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine  # as it is for the block that is being filled
        self.block_samples = engine.block_segments * SEGMENT_SAMPLES
        self._next = engine  # as it is for the block after it
        self._held = Held()
        self._last = np.zeros(0, np.float32)  # the segment before: the last one of a sound may reach back into it
        self._last_permit = engine.permit
        self._state = engine.initial_state()

    def switch(self, engine: Engine) -> None:
        """Continue with the same engine that permits other tasks."""
        self._next = engine
        both = [task for task in self.engine.permit if task in engine.permit]
        self.engine = engine.permitting(both) if self._held.count else engine

    def feed(self, wav: Wave) -> list[Spectrum]:
        """The features [161, N] of each block that is complete once `wav` [T] has come."""
        self._held.put(wav)
        blocks = self._held.count // self.block_samples
        return [self._obfuscated(self._held.take(self.block_samples)) for _ in range(blocks)]

    def flush(self) -> list[Spectrum]:
        """The features of the rest."""
        rest = [self._obfuscated(self._held.take(self._held.count))] if self._held.count else []
        if self.engine.constant_blocks:
            known = [task for task in self.engine.permit if task in self._last_permit]
            recalled = self.engine.permitting(known).recall(self._state)
            rest.append(np.concatenate([*recalled], axis=1))
        return rest

    def _obfuscated(self, block: Wave) -> Spectrum:
        # Only the last segment of the whole sound can reach back over the start of its block, and not to sound that a
        # task which is permitted now was not permitted to know of.
        known = set(self.engine.permit) <= set(self._last_permit)
        before = self._last if len(block) % SEGMENT_SAMPLES and known else self._last[:0]
        passed = len(before) // SEGMENT_SAMPLES
        both = np.concatenate([before, block])
        spectra, self._state = self.engine.advance(segment.cut(both)[passed:], self._state)
        self._last, self._last_permit, self.engine = block[-SEGMENT_SAMPLES:], self.engine.permit, self._next
        if self.engine.whole_segments:
            return np.concatenate([*spectra], axis=1)[:, : 0 if self.engine.constant_blocks else None]
        unused = np.zeros((passed, BINS, SEGMENT_FRAMES), np.float32)
        return segment.join(np.concatenate([unused, spectra]), len(both))[:, passed * SEGMENT_FRAMES :]


class SegmentCore(Core):
    """The way through such an engine at 16 kHz: `Segments`, and what joins the sounds of their features."""

    def __init__(self, engine: SegmentEngine) -> None:
        self._segments, self._joiner, self._prepare = Segments(engine), engine.joiner(), engine.prepare
        self.keeps_length = not engine.whole_segments
        # The last sample of a block makes it ready. Of a constant number of blocks nothing is until the end.
        waits = self._segments.block_samples - 1 + engine.joiner_lag_samples
        self.lag_samples = None if engine.constant_blocks else waits

    def switch(self, engine: Engine) -> None:
        self._segments.switch(engine)
        for each in (self._segments.engine, engine):
            each.make_codewords()

    def feed(self, wav: Wave) -> list[Wave]:
        return self._sound(self._segments.feed(wav))

    def flush(self) -> list[Wave]:
        return [*self._sound(self._segments.flush()), self._joiner.flush()]

    def _sound(self, features: list[Spectrum]) -> list[Wave]:
        pieces = [piece for whole in features for piece in _in_segments(whole)]
        return [self._joiner.feed(self._prepare(piece)) for piece in pieces]


def _in_segments(features: Spectrum) -> list[Spectrum]:
    return [features[:, start : start + SEGMENT_FRAMES] for start in range(0, features.shape[1], SEGMENT_FRAMES)]


@dataclass(frozen=True, eq=False)
class SegmentEngine(Engine):
    """An engine that gives features for each segment."""

    joiner_lag_samples: ClassVar[int] = OVERLAP_FRAMES * HOP_SAMPLES  # that the joiner holds back

    def core(self) -> Core:
        return SegmentCore(self)

    def sound(self, features: Spectrum) -> Wave:
        joiner = self.joiner()
        pieces = [joiner.feed(self.prepare(piece)) for piece in _in_segments(features)]
        return limited(np.concatenate([*pieces, joiner.flush()]))

    def prepare(self, features: Spectrum) -> NDArray[np.float32]:
        """What the joiner takes for features [161, N] of at most a segment: here, their magnitude."""
        return self.config.magnitude(features)

    def joiner(self) -> PhaseContinuation | Crossfade:
        """What makes one sound of pieces: here, each piece takes up the phase of the last."""
        return PhaseContinuation()


@dataclass(frozen=True, eq=False)
class GraphEngine(SegmentEngine):
    """An engine that gives features by an ONNX graph."""

    graph: Graph

    def network(self) -> Graph:
        return self.graph


class ObfuscatorEngine(GraphEngine):
    """An obfuscator [B, 161, 128] -> [B, 161, 128] that takes each segment by itself."""

    @classmethod
    def load(cls, folder: Path, config: FilterConfig, permit: Sequence[str], threads: int) -> Self:
        return cls(config, tuple(permit), Graph(folder / "filter.onnx", threads=threads))

    def step(self, inputs: Spectrum, state: State) -> tuple[Spectrum, State]:
        return self.graph.run(inputs), state

    def decoder(self) -> None:
        return None
