"""The codebook: what a listener may know, as one of a few codes, and the few sounds that leave for codes.

    log posteriors [S, C] -- codes --> one code per permitted task and block -- draw --> spectra [S, 161, 128]

`draw` sees codes and how many came before, nothing else: whatever else was in the sound ends in `codes`. The code 0 of
a task stands for nothing: a task that is not permitted has it always, and what its target gives for that time is not
kept; a permitted task has it in each block that holds none of its classes. Where all codes are 0, silence leaves. No
torch: this runs on a device.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sottovoce.arrays import read_arrays
from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import SEGMENT_S, SEGMENT_SAMPLES, Spectrum, Wave
from sottovoce.errors import ConfigError, ModelError

Array = NDArray[np.float32]
State = Mapping[str, NDArray[Any]]

SOUND_SAMPLES = SEGMENT_SAMPLES + 2 * MARGIN_SAMPLES  # of a codeword, with margins for the crossfade to the next
BLOCKS = (1, 2, 4, 8, 16)  # segments to a block: what divides the 16 that a filter works on at once
MOST_CODEWORDS = 512
_LARGEST_BYTES = 1 << 25  # unpacked

_SILENT = 128  # the 8-bit step of a sample of 0
_LOGARITHM = 255.0  # the mu of mu-law: steps are fine where a sound is faint
_VALUES = np.sign(np.arange(256) - _SILENT) * np.expm1(np.abs(np.arange(256) - _SILENT) / 127 * np.log1p(_LOGARITHM))
SAMPLES = np.rint(_VALUES / _LOGARITHM * 2**15).astype(np.float32) / np.float32(2**15)  # of each step; exact anywhere


@dataclass(frozen=True, eq=False)
class Codebook:
    """The codes of each task and the sounds, codewords, that leave for them.

    `tasks` [T]; `centres` of each task [K, C] are posteriors, and code k > 0 stands for those nearest to centre k - 1.
    `none_above` [T]: in a block whose probability of none is above this, the code is 0. `sounds`
    [P, K_1 + 1, ..., K_T + 1, 20640] are those of codewords, in 8 bits as `to_8_bits` gives them: for the first P - 1
    blocks of a sound and all later ones, and every combination of codes. A block is `block_segments` segments of
    1.28 s; the blocks before count `memory` times as much as the present one.
    """

    tasks: tuple[str, ...]
    centres: tuple[Array, ...]
    none_above: tuple[float, ...]
    sounds: NDArray[np.uint8]
    memory: float = 1.0
    block_segments: int = 1

    def __post_init__(self) -> None:
        sizes = tuple(len(centres) + 1 for centres in self.centres)
        parts = {len(self.tasks), len(self.centres), len(self.none_above)}
        if not self.tasks or len(parts) > 1 or any(c.ndim != 2 for c in self.centres):
            raise ModelError(
                f"a codebook of the tasks {self.tasks} has {len(self.centres)} tables of centres [K, C] and "
                f"{len(self.none_above)} thresholds; expected one for each task: train it again."
            )
        shape = self.sounds.shape
        if (
            self.sounds.dtype != np.uint8
            or shape[1:] != (*sizes, SOUND_SAMPLES)
            or not 0 < self.count <= MOST_CODEWORDS
        ):
            raise ModelError(
                f"the codewords are {self.sounds.dtype} {shape}; expected uint8 [P, {sizes}, {SOUND_SAMPLES}], "
                f"{MOST_CODEWORDS} sounds at most."
            )
        if (self.sounds[nothing(len(sizes))] != _SILENT).any():
            raise ModelError("the codeword for nothing is not silent; train the filter again.")
        numbers = [self.memory, *self.none_above, *(float(c.sum()) for c in self.centres)]
        if not all(map(math.isfinite, numbers)) or not 0.0 <= self.memory <= 1.0:
            raise ModelError(f"the codebook has memory {self.memory}, thresholds {self.none_above}; train it again.")
        if self.block_segments not in BLOCKS:
            raise ModelError(f"block_segments is {self.block_segments}; expected one of {BLOCKS}.")

    @property
    def count(self) -> int:
        """How many codewords there are."""
        return math.prod(self.sounds.shape[:-1])

    @property
    def positions(self) -> int:
        """P: how many blocks of a sound have codewords of their own; all later ones have those of the last."""
        return len(self.sounds)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each task has, without the code 0."""
        return tuple(len(centres) for centres in self.centres)

    @property
    def classes(self) -> int:
        """C: how many classes the targets of all tasks have together, and one of none for each task."""
        return sum(centres.shape[1] + 1 for centres in self.centres)

    @property
    def block_s(self) -> float:
        """Seconds of sound for which one code is sent."""
        return self.block_segments * SEGMENT_S

    def bits_per_block(self, permit: Sequence[str]) -> float:
        """The bound: the most bits that can leave with a block, whoever listens: the sum of log2(K + 1)."""
        return sum(math.log2(size + 1) for task, size in zip(self.tasks, self.sizes, strict=True) if task in permit)

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

        `log_posteriors` [S, C] are those of all tasks side by side, each task's classes and then its none. The last
        block of a sound may be shorter. What the state holds of a task that is not permitted is forgotten, and a block
        that holds none of the classes of a task adds nothing to what is known of it.
        """
        columns = [
            columns if task in permit else None for task, columns in zip(self.tasks, self.columns(), strict=True)
        ]
        total, blocks = np.zeros(self.classes), int(state["blocks"][0])
        for kept in filter(None, columns):
            total[kept] = state["posteriors"][kept]
        codes = np.zeros((len(log_posteriors), len(self.tasks)), np.int64)
        positions = np.zeros(len(log_posteriors), np.int64)
        for start in range(0, len(log_posteriors), self.block_segments):
            block = slice(start, start + self.block_segments)
            posteriors = np.exp(log_posteriors[block].astype(np.float64))
            posteriors = np.where(np.isfinite(posteriors), posteriors, 0.0)  # a broken one does not count
            for task, part in enumerate(columns):
                if part is None:
                    continue
                total[part] *= self.memory ** len(posteriors)
                if posteriors[:, part.stop].mean() <= self.none_above[task]:
                    weights = self.memory ** np.arange(len(posteriors))[::-1, None]
                    total[part] += (weights * posteriors[:, part]).sum(axis=0)
                    codes[block, task] = self._nearest(total, task, part)
            positions[block] = min(blocks, self.positions - 1)
            blocks += 1
        blocks = min(blocks, self.positions - 1)
        return codes, positions, {"posteriors": total, "blocks": np.array([blocks], np.float64)}

    def whole_codes(self, permit: Sequence[str], state: State) -> NDArray[np.int64]:
        """The codes [1, T] of the whole sound that led to `state`."""
        parts = enumerate(zip(self.tasks, self.columns(), strict=True))
        total = state["posteriors"]
        return np.array([[self._nearest(total, i, part) if task in permit else 0 for i, (task, part) in parts]])

    def draw(self, codes: NDArray[np.int64], positions: NDArray[np.int64]) -> Spectrum:
        """The spectra [S, 161, 128] of the codewords of codes [S, T] at positions [S]: equal codes give equal bits."""
        spectra: Spectrum = self._spectra[(positions, *codes.T)]
        return spectra

    def sound(self, features: Spectrum) -> Wave:
        """The sound with margins [20640] of the codeword whose spectrum [161, 128] these features are.

        ConfigError for features of no codeword.
        """
        if (key := _key(features)) not in self._sounds:
            raise ConfigError("these features are no codeword of the filter; expected what `features` returned.")
        return self._sounds[key]

    def make(self) -> None:
        """Compute the spectra now, so that the first sound takes no longer than others."""
        _ = self._sounds

    def waves(self) -> Wave:
        """The sounds of all codewords with margins, [W, 20640] in the order of the table, full scale 1."""
        waves: Wave = SAMPLES[self.sounds.reshape(-1, SOUND_SAMPLES)]
        return waves

    def to_bytes(self) -> bytes:
        """As the content of a file."""
        buffer = io.BytesIO()
        tables = {f"centres/{task}": c for task, c in zip(self.tasks, self.centres, strict=True)}
        numbers = np.array([self.memory, self.block_segments, *self.none_above], np.float64)
        np.savez_compressed(buffer, tasks=np.array(self.tasks), sounds=self.sounds, numbers=numbers, **tables)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Codebook:
        """From the content of a file; ModelError says what is wrong with it."""
        try:
            held = read_arrays(content, _LARGEST_BYTES)
            tasks = tuple(map(str, held["tasks"]))
            memory, block_segments, *none_above = map(float, held["numbers"])
            centres = tuple(held[f"centres/{task}"].astype(np.float32) for task in tasks)
            sounds = held["sounds"]
        except (ModelError, KeyError, ValueError, TypeError) as error:
            raise ModelError(f"the codebook cannot be read ({error}); train the filter again.") from error
        return cls(tasks, centres, tuple(none_above), sounds, memory, int(block_segments))

    def columns(self) -> Iterator[slice]:
        """Where the classes of each task lie among the C columns; the next column is of none."""
        first = 0
        for centres in self.centres:
            yield slice(first, first + centres.shape[1])
            first += centres.shape[1] + 1

    def _nearest(self, total: NDArray[np.float64], task: int, part: slice) -> int:
        """The code of the centre nearest to the mean posterior of a task; 0 where nothing is known of it."""
        known = total[part].sum()
        if known <= 0.0:
            return 0
        return 1 + int(np.square(self.centres[task] - total[part] / known).sum(axis=1).argmin())

    @cached_property
    def _spectra(self) -> Spectrum:
        """[P, K_1 + 1, ..., K_T + 1, 161, 128]: what the front end makes of each sound."""
        spectra = front_end(np.ascontiguousarray(self.waves()[:, MARGIN_SAMPLES:-MARGIN_SAMPLES]))
        return spectra.reshape(*self.sounds.shape[:-1], *spectra.shape[1:])

    @cached_property
    def _sounds(self) -> Mapping[bytes, Wave]:
        return dict(zip(map(_key, self._spectra.reshape(-1, *self._spectra.shape[-2:])), self.waves(), strict=True))


def nothing(tasks: int) -> tuple[Any, ...]:
    """Where in a table of codewords those are whose codes are all 0."""
    return (slice(None), *(0,) * tasks)


def _key(spectrum: Spectrum) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(spectrum).tobytes(), digest_size=16).digest()


def to_8_bits(waves: Wave) -> NDArray[np.uint8]:
    """Sounds of full scale 1 in 8 bits, on a logarithmic scale (mu-law): an error 38 dB below the sound."""
    steps = np.log1p(_LOGARITHM * np.minimum(1.0, np.abs(waves.astype(np.float64)))) * (127 / np.log1p(_LOGARITHM))
    return np.asarray(_SILENT + np.sign(waves) * np.rint(steps), np.uint8)
