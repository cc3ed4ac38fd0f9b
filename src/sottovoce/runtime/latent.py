"""Filters whose features are latents: one vector for each segment of 1.28 s, that a reader makes the answer of.

segment [20480] -- what the sender hears: magnitudes, a standardised spectrum or mel bands [F, N] -- filter.onnx --> [D]
latent [D] -- readers/TASK.onnx, where the application runs --> log posteriors [K]
"""

from __future__ import annotations

import math
from pathlib import Path
from reprlib import repr as short
from urllib.parse import unquote

import numpy as np
import soxr
from numpy.typing import NDArray

from sottovoce.audio import mel, segment
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES, SEGMENT_S, SEGMENT_SAMPLES, Wave
from sottovoce.errors import ModelError
from sottovoce.models.checkpoint import path_part
from sottovoce.runtime.engine import ADR, INPUT, SCORES, FilterConfig, Graph, Rate, State

LATENT = "latent"
MAGNITUDES = "magnitudes"
MELS = "mels"
UNPROTECTED = "unprotected.onnx"  # in a filter folder, latents before protection: read by attackers, never by a filter

_LIMITS = {"latent": (1, 4096), "classes": (2, 4096), "codes": (0, 4096), "sample_rate": (8000, 48000)}  # of settings


class LatentEngine:
    """A sender in a filter folder, and the readers of the tasks that it permits."""

    def __init__(self, folder: Path, config: FilterConfig, threads: int = 1) -> None:
        self.config = config
        name, shape = heard(config)
        width, classes = config.settings["latent"], config.settings["classes"]
        self.sender = Graph(folder / "filter.onnx", LATENT, (width,), threads, hears=name, heard=shape)
        self.readers = {
            unquote(path.stem): Graph(path, SCORES, (classes,), threads, hears=LATENT, heard=(width,))
            for path in sorted((folder / "readers").glob("*.onnx"))
        }

    @property
    def rate(self) -> Rate | None:
        """Where one of so many codes leaves for each segment; None where latents are free."""
        codes = self.config.settings["codes"]
        return Rate(math.log2(codes), SEGMENT_S) if codes else None

    def front_end(self, segments: Wave) -> NDArray[np.float32]:
        """What the sender hears of segments [S, 20480] at 16 kHz."""
        if self.config.architecture == ADR["x-vector"]:
            return segment.front_end(segments)
        if self.config.architecture == ADR["pretrained"]:
            return mel.front_end(segments)
        rate = self.config.settings["sample_rate"]
        if rate != SAMPLE_RATE:
            segments = soxr.resample(segments.T, SAMPLE_RATE, rate).T
        return mel.magnitudes(np.ascontiguousarray(segments), rate)

    def initial_state(self) -> State:
        """Nothing."""
        return {}

    def step(self, given: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Latents [S, D, 1] of what the sender hears."""
        return self.sender.run(given)[:, :, None], state

    def read(self, latents: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """The log posteriors [S, K] of each permitted task, from latents [S, D, 1]."""
        return {task: reader.run(latents[:, :, 0]) for task, reader in self.readers.items()}


def heard(config: FilterConfig) -> tuple[str, tuple[int, int]]:
    """The name and the shape of what a sender hears of a segment; ModelError for settings that cannot be."""
    for name, (least, most) in _LIMITS.items():
        value = config.settings.get(name)
        if not isinstance(value, int) or not least <= value <= most:
            raise ModelError(f"config.json: {name} is {short(value)}; expected {least} to {most}: train it again.")
    if config.architecture == ADR["x-vector"]:
        return INPUT, (BINS, SEGMENT_FRAMES)
    if config.architecture == ADR["pretrained"]:
        return MELS, (mel.BANDS, mel.SEGMENT_FRAMES)
    rate = config.settings["sample_rate"]
    samples = round(SEGMENT_SAMPLES * rate / SAMPLE_RATE)
    return MAGNITUDES, (mel.window_samples(rate) // 2 + 1, 1 + samples // (rate // 100))


def unprotected(folder: Path) -> Graph:
    """The graph from what a sender hears to latents without protection; ModelError where the folder has none."""
    config = FilterConfig.parse((folder / "config.json").read_text(encoding="utf-8"))
    name, shape = heard(config)
    return Graph(folder / UNPROTECTED, LATENT, (config.settings["latent"],), hears=name, heard=shape)


def reader_place(task: str) -> str:
    """Where in a filter folder the reader of a permitted task is."""
    return f"readers/{path_part(task)}.onnx"
