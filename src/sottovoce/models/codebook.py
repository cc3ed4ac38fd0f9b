"""The codebook: what a listener may know, as one of a few codes, and the few spectra that can be drawn from codes.

    log posteriors [S, C] -- codes --> one code per permitted task and block -- draw --> spectra [S, 161, 128]

`draw` sees codes and how many were drawn before, nothing else: whatever else was in the sound ends in `codes`. A task
that is not permitted has the code 0, always, and what its target gives for that time is not kept. No torch: this runs
on a device.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.arrays import read_arrays
from sottovoce.audio.segment import standardise
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_S, Spectrum
from sottovoce.errors import ConfigError, ModelError

Array = NDArray[np.float32]
State = Mapping[str, NDArray[Any]]

SHARPNESS = (
    0.4,
    0.6,
    0.8,
    1.0,
)  # of the templates of the first, second, ... block of a sound: a later block knows more
_LARGEST_BYTES = 1 << 27  # unpacked
BLOCKS = (1, 2, 4, 8, 16)  # segments to a block: what divides the 16 that a filter works on at once


@dataclass(frozen=True, eq=False)
class Codebook:
    """The codes of each task and the templates, spectra of codewords, that they stand for.

    `tasks` [T]; `centres` of each task [K, C] are posteriors, and code k > 0 stands for those nearest to centre k - 1.
    `templates` [P, K_1 + 1, ..., K_T + 1, H, W] are spectra in 8 bits whose values lie between `low` and `high`: for
    the first P - 1 blocks of a sound and all later ones, and every combination of codes. A block is `block_segments`
    segments of 1.28 s; the blocks before count `memory` times as much as the present one.
    """

    tasks: tuple[str, ...]
    centres: tuple[Array, ...]
    templates: NDArray[np.uint8]
    low: float
    high: float
    memory: float = 1.0
    block_segments: int = 1

    def __post_init__(self) -> None:
        sizes = tuple(len(centres) + 1 for centres in self.centres)
        if not self.tasks or len(self.tasks) != len(self.centres) or any(c.ndim != 2 for c in self.centres):
            raise ModelError(f"a codebook of the tasks {self.tasks} has {len(self.centres)} tables of centres [K, C].")
        if (
            self.templates.dtype != np.uint8
            or self.templates.ndim != len(sizes) + 3
            or self.templates.shape[1:-2] != sizes
        ):
            raise ModelError(
                f"the templates are {self.templates.dtype} {self.templates.shape}; expected uint8 [P, {sizes}, H, W]."
            )
        if 0 in self.templates.shape or self.templates.shape[-2] > BINS or self.templates.shape[-1] > SEGMENT_FRAMES:
            raise ModelError(
                f"the templates are {self.templates.shape[-2:]}; expected at most ({BINS}, {SEGMENT_FRAMES})."
            )
        numbers = [self.low, self.high, self.memory, *(float(c.sum()) for c in self.centres)]
        if not all(map(math.isfinite, numbers)) or not self.low < self.high or not 0.0 <= self.memory <= 1.0:
            raise ModelError(
                f"the codebook has low {self.low}, high {self.high}, memory {self.memory}; train it again."
            )
        if self.block_segments not in BLOCKS:
            raise ModelError(f"block_segments is {self.block_segments}; expected one of {BLOCKS}.")

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each task has, without the 0 of a task that is not permitted."""
        return tuple(len(centres) for centres in self.centres)

    @property
    def classes(self) -> int:
        """C: how many classes the targets of all tasks have together."""
        return sum(centres.shape[1] for centres in self.centres)

    @property
    def block_s(self) -> float:
        """Seconds of sound for which one code is sent."""
        return self.block_segments * SEGMENT_S

    def bits_per_block(self, permit: Sequence[str]) -> float:
        """The bound: the most bits that can leave with a block, whoever listens: the sum of log2 K."""
        return sum(math.log2(size) for task, size in zip(self.tasks, self.sizes, strict=True) if task in permit)

    def check_permit(self, permit: Sequence[str]) -> None:
        """ConfigError for a task that this codebook has no codes for."""
        unknown = [task for task in permit if task not in self.tasks]
        if unknown:
            raise ConfigError(
                f"this filter has no codes for {', '.join(unknown)}; it can permit {', '.join(self.tasks)}."
            )

    def initial_state(self) -> State:
        """The state before a sound: the sum of posteriors so far, and the number of blocks drawn."""
        return {"posteriors": np.zeros(self.classes), "blocks": np.zeros(1)}

    def codes(
        self, log_posteriors: Array, permit: Sequence[str], state: State
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], State]:
        """The codes [S, T] and the position 0..P-1 of each block, [S], for S segments of a sound in order.

        `log_posteriors` [S, C] are those of all tasks side by side. The last block of a sound may be shorter. What the
        state holds of a task that is not permitted is forgotten.
        """
        permitted = np.repeat([task in permit for task in self.tasks], [c.shape[1] for c in self.centres])
        total, blocks = np.where(permitted, state["posteriors"], 0.0), int(state["blocks"][0])
        codes = np.zeros((len(log_posteriors), len(self.tasks)), np.int64)
        positions = np.zeros(len(log_posteriors), np.int64)
        for start in range(0, len(log_posteriors), self.block_segments):
            block = slice(start, start + self.block_segments)
            for posterior in np.exp(log_posteriors[block].astype(np.float64)):
                known = permitted & np.isfinite(posterior)  # a broken one does not count
                total = self.memory * total + np.where(known, posterior, 0.0)
            codes[block] = self._nearest(total, permit)
            positions[block] = min(blocks, len(self.templates) - 1)
            blocks += 1
        blocks = min(blocks, len(self.templates) - 1)
        return codes, positions, {"posteriors": total, "blocks": np.array([blocks], np.float64)}

    def whole_codes(self, permit: Sequence[str], state: State) -> NDArray[np.int64]:
        """The codes [1, T] of the whole sound that led to `state`."""
        return np.array([self._nearest(state["posteriors"], permit)])

    def draw(self, codes: NDArray[np.int64], positions: NDArray[np.int64]) -> Spectrum:
        """The spectra [S, 161, 128] of codes [S, T] at positions [S]: equal codes give equal bits."""
        templates = self.templates[(positions, *codes.T)].astype(np.float32)
        values = np.float32(self.low) + templates * np.float32((self.high - self.low) / 255.0)
        rows, columns = self._interpolation
        return standardise(rows @ values @ columns)

    def to_bytes(self) -> bytes:
        """As the content of a file."""
        buffer = io.BytesIO()
        tables = {f"centres/{task}": c for task, c in zip(self.tasks, self.centres, strict=True)}
        numbers = np.array([self.low, self.high, self.memory, self.block_segments], np.float64)
        np.savez_compressed(buffer, tasks=np.array(self.tasks), words=self.templates, numbers=numbers, **tables)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Codebook:
        """From the content of a file; ModelError says what is wrong with it."""
        try:
            held = read_arrays(content, _LARGEST_BYTES)
            tasks = tuple(map(str, held["tasks"]))
            low, high, memory, block_segments = map(float, held["numbers"])
            centres = tuple(held[f"centres/{task}"].astype(np.float32) for task in tasks)
            templates = held["words"]
        except (ModelError, KeyError, ValueError, TypeError) as error:
            raise ModelError(f"the codebook cannot be read ({error}); train the filter again.") from error
        return cls(tasks, centres, templates, low, high, memory, int(block_segments))

    def _nearest(self, total: NDArray[np.float64], permit: Sequence[str]) -> list[int]:
        """The code of each task: that of the centre nearest to the mean posterior, or 0 where it is not permitted."""
        codes, first = [], 0
        for task, centres in zip(self.tasks, self.centres, strict=True):
            part = total[first : first + centres.shape[1]]
            first += centres.shape[1]
            mean = part / max(part.sum(), 1e-12)
            codes.append(1 + int(np.square(centres - mean).sum(axis=1).argmin()) if task in permit else 0)
        return codes

    @cached_property
    def _interpolation(self) -> tuple[Array, Array]:
        """Matrices [161, H] and [W, 128] that spread a template over all bins and frames."""
        height, width = self.templates.shape[-2:]
        return interpolation(height, BINS), interpolation(width, SEGMENT_FRAMES).T


def interpolation(points: int, onto: int) -> Array:
    """The matrix [onto, points] of linear interpolation from `points` cells to `onto` that cover the same range."""
    at = np.clip((np.arange(onto) + 0.5) * points / onto - 0.5, 0, points - 1)
    below = np.minimum(at.astype(np.int64), max(0, points - 2))
    matrix = np.zeros((onto, points))
    matrix[np.arange(onto), below] = 1.0 - (at - below)
    matrix[np.arange(onto), np.minimum(below + 1, points - 1)] += at - below
    return matrix.astype(np.float32)


def to_8_bits(values: Array) -> tuple[NDArray[np.uint8], float, float]:
    """Spectra [..., H, W] in 8 bits, and the values that 0 and 255 stand for."""
    low, high = float(values.min()), float(values.max())
    high = high if high > low else low + 1.0
    return np.rint((values - low) * (255.0 / (high - low))).astype(np.uint8), low, high
