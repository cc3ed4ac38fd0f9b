"""The engine of a codebook filter: all that leaves is drawn from the codes that its encoder chose."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.griffin_lim import MARGIN_SAMPLES, Crossfade, griffin_lim
from sottovoce.audio.spectrum import Spectrum, Wave
from sottovoce.errors import ConfigError
from sottovoce.models.codebook import Codebook
from sottovoce.runtime.engine import SCORES, FilterConfig, Graph, Rate, State
from sottovoce.runtime.segments import GraphEngine

_MOST_KEPT = 512  # codewords whose sounds are kept, 40 MiB; in a larger codebook each is made whenever it is drawn
_MOST_EXPORTED = 2000  # codewords whose sounds one graph holds: 80 MB
_MOST_BLOCKS = 1000
REVOKED = -1  # in the place of the code of a task that is not permitted


@dataclass(frozen=True, eq=False)
class CodebookEngine(GraphEngine):
    """Draws the spectra of the codes of a sound; tasks that are not permitted have a constant code.

    `graph` is the encoder: the log posteriors of all tasks of the codebook side by side, [S, C]. `sounds` are those of
    codewords that were made already.
    """

    codebook: Codebook
    sounds: dict[bytes, Wave] = field(default_factory=dict, repr=False)
    whole_segments = True
    joiner_lag_samples = MARGIN_SAMPLES

    @classmethod
    def load(cls, folder: Path, config: FilterConfig, permit: Sequence[str], threads: int) -> Self:
        codebook = Codebook.from_bytes((folder / "codebook.npz").read_bytes())
        encoder = Graph(folder / "filter.onnx", SCORES, (codebook.classes,), threads)
        return cls(config, codebook.tasks, encoder, codebook)

    @property
    def rate(self) -> Rate:
        return Rate(self.codebook.bits_per_block(self.permit), self.codebook.block_s)

    @property
    def block_segments(self) -> int:
        return self.codebook.block_segments

    def initial_state(self) -> State:
        return self.codebook.initial_state()

    def step(self, inputs: Spectrum, state: State) -> tuple[Spectrum, State]:
        """Spectra [S, 161, 128] drawn from the codes of standardised log spectra [S, 161, 128] of a sound, in order."""
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
        return {task: size if task in self.permit else 1 for task, size in sizes}

    def recall(self, state: State) -> Spectrum:
        codes = self.codebook.whole_codes(self.permit, state)
        segments = np.arange(self.constant_blocks * self.block_segments)
        positions = np.minimum(segments // self.block_segments, len(self.codebook.templates) - 1)
        return self.codebook.draw(np.repeat(codes, len(segments), axis=0), positions)

    def joiner(self) -> Crossfade:
        """What makes one sound of codewords, whose sounds are made now, so that none takes longer when it is new."""
        self.make_codewords()
        return Crossfade()

    def make_codewords(self, for_any_consent: bool = False) -> None:
        if self._keeps_sounds:
            least = 0 if for_any_consent else 1
            tasks = zip(self.codebook.tasks, self.codebook.sizes, strict=True)
            codes = [range(least, size + 1) if task in self.permit else (0,) for task, size in tasks]
            list(map(self.prepare, self._drawn(list(product(range(len(self.codebook.templates)), *codes)))))

    def _drawn(self, places: Sequence[tuple[int, ...]]) -> Spectrum:
        """The spectra at some places of the table of templates."""
        positions, *codes = np.transpose(places)
        return self.codebook.draw(np.transpose(codes), positions)

    def prepare(self, features: Spectrum) -> Wave:
        """The sound of drawn features [161, N], with margins for `Crossfade`; it is made once."""
        if not self._keeps_sounds:
            return griffin_lim(self.config.magnitude(features))
        key = hashlib.blake2b(features.tobytes(), digest_size=16).digest()
        if key not in self.sounds:
            self.sounds[key] = griffin_lim(self.config.magnitude(features))
        return self.sounds[key]

    def vocabulary(self) -> Codebook:
        return self.codebook

    def decoder(self) -> tuple[Codebook, Wave]:
        places = list(np.ndindex(self.codebook.templates.shape[:-2]))
        if len(places) > _MOST_EXPORTED:
            raise ConfigError(
                f"the filter has {len(places)} codewords; expected at most {_MOST_EXPORTED} for one graph with sounds."
            )
        return self.codebook, np.stack([*map(self.prepare, self._drawn(places))])

    def differences(self, outputs: NDArray[np.float32], expected: NDArray[np.float32]) -> dict[str, float]:
        """How many of the codes of log posteriors [S, C] are those of `expected`, each segment by itself."""
        codes = [np.stack([self._first_code(row) for row in each]) for each in (outputs, expected)]
        return {"same_codes": float((codes[0] == codes[1]).all(axis=1).mean())}

    def _first_code(self, log_posteriors: NDArray[np.float32]) -> NDArray[np.int64]:
        codes = self.codebook.codes(log_posteriors[None], self.codebook.tasks, self.initial_state())[0]
        first: NDArray[np.int64] = codes[0]
        return first

    @property
    def _keeps_sounds(self) -> bool:
        return math.prod(self.codebook.templates.shape[:-2]) <= _MOST_KEPT


@dataclass(frozen=True, eq=False)
class AnswerEngine(CodebookEngine):
    """A codebook filter whose features are its codes, [S, T, 1], with `REVOKED` where a task is not permitted.

    Of a constant number of blocks, one answer stands for all.
    """

    @property
    def rows(self) -> int:
        return len(self.codebook.tasks)

    def step(self, inputs: Spectrum, state: State) -> tuple[Spectrum, State]:
        codes, _, after = self.codebook.codes(self.graph.run(inputs), self.permit, state)
        return self._permitted(codes), after

    def recall(self, state: State) -> Spectrum:
        return self._permitted(self.codebook.whole_codes(self.permit, state))

    def _permitted(self, codes: NDArray[np.int64]) -> Spectrum:
        permitted = np.array([task in self.permit for task in self.codebook.tasks])
        return np.where(permitted, codes, REVOKED).astype(np.float32)[:, :, None]
