"""The engine of a codebook filter: all that leaves is drawn from the codes that its encoder chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES, Crossfade
from sottovoce.audio.spectrum import SEGMENT_SAMPLES, Spectrum, Wave
from sottovoce.errors import ConfigError
from sottovoce.models.codebook import Codebook
from sottovoce.runtime.engine import SCORES, SOUND, TAKES_SOUND, FilterConfig, Graph, Rate, State
from sottovoce.runtime.segments import GraphEngine

_MOST_BLOCKS = 1000
REVOKED = -1  # in the place of the code of a task that is not permitted


@dataclass(frozen=True, eq=False)
class CodebookEngine(GraphEngine):
    """Draws the codewords of the codes of a sound; tasks that are not permitted have a constant code.

    `graph` is the encoder: the log posteriors [S, C] of the codebook, of standardised spectra or, with `takes_sound`,
    of sound [S, 20480].
    """

    codebook: Codebook
    takes_sound: bool = False
    whole_segments = True
    joiner_lag_samples = MARGIN_SAMPLES

    @classmethod
    def load(cls, folder: Path, config: FilterConfig, permit: Sequence[str], threads: int) -> Self:
        codebook = Codebook.from_bytes((folder / "codebook.npz").read_bytes())
        takes_sound = bool(config.settings.get(TAKES_SOUND))
        form = (SOUND, (SEGMENT_SAMPLES,)) if takes_sound else ()
        encoder = Graph(folder / "filter.onnx", SCORES, (codebook.classes,), threads, *form)
        return cls(config, codebook.tasks, encoder, codebook, takes_sound)

    def front_end(self, segments: Wave) -> NDArray[np.float32]:
        return segments if self.takes_sound else super().front_end(segments)

    @property
    def rate(self) -> Rate:
        return Rate(self.codebook.bits_per_block(self.permit), self.codebook.block_s)

    @property
    def block_segments(self) -> int:
        return self.codebook.block_segments

    def initial_state(self) -> State:
        return self.codebook.initial_state()

    def step(self, inputs: NDArray[np.float32], state: State) -> tuple[Spectrum, State]:
        """The spectra [S, 161, 128] of the codewords for what `front_end` makes of S segments of a sound, in order."""
        codes, positions, after = self.codebook.codes(self.graph.run(inputs), self.permit, state)
        return self.codebook.draw(codes, positions), after

    def permitting(self, tasks: Sequence[str]) -> Self:
        self.codebook.check_permit(tasks)
        return replace(self, permit=tuple(task for task in self.codebook.tasks if task in tasks))

    def constant(self, blocks: int) -> Self:
        if not 0 <= blocks <= _MOST_BLOCKS:
            raise ConfigError(f"a constant number of blocks is {blocks}; expected 1 to {_MOST_BLOCKS}, or 0 for none.")
        return replace(self, constant_blocks=blocks)

    def forgetting(self, memory: float) -> Self:
        if not 0.0 <= memory <= 1.0:
            raise ConfigError(f"a memory is {memory}; expected 0 (of nothing) to 1 (of everything alike).")
        return replace(self, codebook=replace(self.codebook, memory=memory))

    def codes(self, segments: Wave) -> NDArray[np.int64]:
        log_posteriors = self.graph.run(self.front_end(segments))
        codes, _, after = self.codebook.codes(log_posteriors, self.permit, self.initial_state())
        return self.codebook.whole_codes(self.permit, after) if self.constant_blocks else codes[:: self.block_segments]

    def answers(self) -> AnswerEngine:
        return AnswerEngine(**{each.name: getattr(self, each.name) for each in fields(self)})

    def code_sizes(self) -> Mapping[str, int]:
        sizes = zip(self.codebook.tasks, self.codebook.sizes, strict=True)
        return {task: size + 1 if task in self.permit else 1 for task, size in sizes}

    def recall(self, state: State) -> Spectrum:
        codes = self.codebook.whole_codes(self.permit, state)
        segments = np.arange(self.constant_blocks * self.block_segments)
        positions = np.minimum(segments // self.block_segments, self.codebook.positions - 1)
        return self.codebook.draw(np.repeat(codes, len(segments), axis=0), positions)

    def joiner(self) -> Crossfade:
        """What makes one sound of codewords, all of which are ready before the first is played."""
        self.make_codewords()
        return Crossfade()

    def make_codewords(self) -> None:
        self.codebook.make()

    def prepare(self, features: Spectrum) -> Wave:
        """The sound, with margins for `Crossfade`, of the codeword whose features [161, 128] these are."""
        return self.codebook.sound(features)

    def vocabulary(self) -> Codebook:
        return self.codebook

    def decoder(self) -> Codebook:
        return self.codebook

    def differences(self, outputs: NDArray[np.float32], expected: NDArray[np.float32]) -> dict[str, float]:
        """How many of the codes of log posteriors [S, C] are those of `expected`, each segment by itself."""
        codes = [np.stack([self._first_code(row) for row in each]) for each in (outputs, expected)]
        return {"same_codes": float((codes[0] == codes[1]).all(axis=1).mean())}

    def _first_code(self, log_posteriors: NDArray[np.float32]) -> NDArray[np.int64]:
        codes = self.codebook.codes(log_posteriors[None], self.codebook.tasks, self.initial_state())[0]
        first: NDArray[np.int64] = codes[0]
        return first


@dataclass(frozen=True, eq=False)
class AnswerEngine(CodebookEngine):
    """A codebook filter whose features are its codes, [S, T, 1], with `REVOKED` where a task is not permitted.

    Of a constant number of blocks, one answer stands for all.
    """

    @property
    def rows(self) -> int:
        return len(self.codebook.tasks)

    def step(self, inputs: NDArray[np.float32], state: State) -> tuple[Spectrum, State]:
        codes, _, after = self.codebook.codes(self.graph.run(inputs), self.permit, state)
        return self._permitted(codes), after

    def recall(self, state: State) -> Spectrum:
        return self._permitted(self.codebook.whole_codes(self.permit, state))

    def _permitted(self, codes: NDArray[np.int64]) -> Spectrum:
        permitted = np.array([task in self.permit for task in self.codebook.tasks])
        return np.where(permitted, codes, REVOKED).astype(np.float32)[:, :, None]
