"""Filters whose features are latents: one vector for each segment of 1.28 s, from which a reader takes the answer.

segment [20480] -- front end: magnitudes, a standardised spectrum or mel bands [F, N] -- sender, filter.onnx --> [D]
latent [D] -- readers/TASK.onnx, where the application runs --> log posteriors [K]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from types import MappingProxyType
from typing import Self
from urllib.parse import unquote

import numpy as np
import soxr
from numpy.typing import NDArray

from sottovoce.audio import filterbank, mel, segment
from sottovoce.audio.griffin_lim import PhaseContinuation
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES, SEGMENT_S, SEGMENT_SAMPLES, Wave
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.checkpoint import path_part
from sottovoce.runtime.engine import ADR, INPUT, SCORES, FilterConfig, Graph, Rate, State
from sottovoce.runtime.segments import GraphEngine

LATENT = "latent"
MAGNITUDES = "magnitudes"
MELS = "mels"
FILTERBANK = "filterbank"
UNPROTECTED = "unprotected.onnx"  # in a filter folder, latents before protection: read by attackers, never by a filter

_FRONT_ENDS: Mapping[str, tuple[str, tuple[int, int], Callable[[Wave], NDArray[np.float32]]]] = MappingProxyType(
    {  # of embeddings: name and shape of the sender's input for a segment, and what makes it
        ADR["x-vector"]: (INPUT, (BINS, SEGMENT_FRAMES), segment.front_end),
        ADR["pretrained"]: (MELS, (mel.BANDS, mel.SEGMENT_FRAMES), mel.front_end),
        ADR["campplus"]: (FILTERBANK, (filterbank.BANDS, filterbank.SEGMENT_FRAMES), filterbank.front_end),
    }
)
_LIMITS = {"latent": (1, 4096), "classes": (2, 4096), "codes": (0, 4096), "sample_rate": (8000, 48000)}  # of settings


@dataclass(frozen=True, eq=False)
class LatentEngine(GraphEngine):
    """A sender in a filter folder (`graph`), and the readers of the tasks that it permits."""

    readers: Mapping[str, Graph]
    playable = False
    whole_segments = True

    @classmethod
    def load(cls, folder: Path, config: FilterConfig, permit: Sequence[str], threads: int) -> Self:
        sender = _sender(folder / "filter.onnx", config, threads)
        width, classes = config.settings["latent"], config.settings["classes"]
        readers = {
            unquote(path.stem): Graph(path, SCORES, (classes,), threads, LATENT, (width,))
            for path in sorted((folder / "readers").glob("*.onnx"))
        }
        return cls(config, tuple(permit), sender, readers)

    @property
    def rows(self) -> int:
        return self.config.settings["latent"]

    @property
    def rate(self) -> Rate | None:
        """Where one of so many codes leaves for each segment; None where latents are free."""
        codes = self.config.settings["codes"]
        return Rate(math.log2(codes), SEGMENT_S) if codes else None

    def front_end(self, segments: Wave) -> NDArray[np.float32]:
        if self.config.architecture in _FRONT_ENDS:
            return _FRONT_ENDS[self.config.architecture][2](segments)
        rate = self.config.settings["sample_rate"]
        if rate != SAMPLE_RATE:
            segments = soxr.resample(segments.T, SAMPLE_RATE, rate).T
        return mel.magnitudes(np.ascontiguousarray(segments), rate)

    def step(self, inputs: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        return self.graph.run(inputs)[:, :, None], state

    def joiner(self) -> PhaseContinuation:
        raise ConfigError("this filter sends latents, which cannot be heard; ask for its features.")

    def read(self, latents: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {task: reader.run(latents[:, :, 0]) for task, reader in self.readers.items()}


def sender_input(config: FilterConfig) -> tuple[str, tuple[int, int]]:
    """The name and the shape of a sender's input for a segment; ModelError for settings that cannot be."""
    for name, (least, most) in _LIMITS.items():
        value = config.settings.get(name)
        if not isinstance(value, int) or not least <= value <= most:
            raise ModelError(f"config.json: {name} is {short(value)}; expected {least} to {most}: train it again.")
    if config.architecture in _FRONT_ENDS:
        return _FRONT_ENDS[config.architecture][:2]
    rate = config.settings["sample_rate"]
    samples = round(SEGMENT_SAMPLES * rate / SAMPLE_RATE)
    return MAGNITUDES, (mel.window_samples(rate) // 2 + 1, 1 + samples // (rate // 100))


def unprotected(folder: Path) -> Graph:
    """The graph from a sender's input to latents without protection; ModelError where the folder has none."""
    config = FilterConfig.parse((folder / "config.json").read_text(encoding="utf-8"))
    return _sender(folder / UNPROTECTED, config)


def _sender(path: Path, config: FilterConfig, threads: int = 1) -> Graph:
    name, shape = sender_input(config)
    return Graph(path, LATENT, (config.settings["latent"],), threads, name, shape)


def reader_place(task: str) -> str:
    """Where in a filter folder the reader of a permitted task is."""
    return f"readers/{path_part(task)}.onnx"
