"""Golden vectors: a sound and the output of a filter where it was exported, to be reproduced where it runs."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.arrays import read_arrays
from sottovoce.audio.griffin_lim import MARGIN_SAMPLES
from sottovoce.audio.spectrum import SAMPLE_RATE, SEGMENT_SAMPLES, Wave
from sottovoce.errors import ModelError, ParityError
from sottovoce.files import read_bytes
from sottovoce.graphs import session
from sottovoce.runtime.filter import Filter

VECTORS, WHOLE = "golden.npz", "whole.onnx"
_MOST_STATE = 1 << 20  # numbers that a graph may take at once
TOLERANCE = 0.02  # of spectra of unit deviation, kept in 16 bits, and of full scale
_BLOCKS = 2
_LARGEST_VECTORS, _LARGEST_WHOLE = 1 << 26, 1 << 29  # bytes


def vectors(loaded: Filter, whole: bytes) -> bytes:
    """Golden vectors of a filter and the one graph of it, as the content of a file: some 200 kB."""
    sound = np.rint(sample(_BLOCKS * loaded.engine.block_segments * SEGMENT_SAMPLES) * 2.0**15).astype(np.int16)
    outputs = _outputs(loaded, whole, sound)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, sound=sound, **{name: wide.astype(np.float16) for name, wide in outputs.items()})  # type: ignore[arg-type]
    return buffer.getvalue()


def check(folder: Path) -> dict[str, float]:
    """Reproduce the golden vectors of an exported filter: how far each is off at most.

    ParityError where it is more than `TOLERANCE`; ModelError where the folder was not exported.
    """
    loaded = Filter.load(folder)
    try:
        kept = read_arrays(folder / VECTORS, _LARGEST_VECTORS)
        whole = read_bytes(folder / WHOLE, _LARGEST_WHOLE)
    except ModelError as error:
        raise ModelError(
            f"{folder} holds no golden vectors that can be read; expected a folder that `export` wrote: {error}"
        ) from error
    sound, block = kept.get("sound", np.zeros(0)), loaded.engine.block_segments * SEGMENT_SAMPLES
    if sound.dtype != np.int16 or sound.ndim != 1 or not len(sound) or len(sound) % block:
        raise ModelError(
            f"{folder} has golden vectors of a sound {sound.dtype} {sound.shape}; expected int16 and a multiple of "
            f"{block} samples: export the filter again."
        )
    worst = {}
    for name, output in _outputs(loaded, whole, sound).items():
        known = kept.get(name, np.zeros(0))
        known = known.astype(np.float32) if known.dtype.kind in "iuf" else np.zeros(0, np.float32)
        worst[name] = float(np.abs(output - known).max()) if known.shape == output.shape else float("inf")
        if not worst[name] <= TOLERANCE:
            raise ParityError(
                f"{folder} gives {name} that are off by {worst[name]:.2g} here, more than {TOLERANCE}; try the version "
                "of onnxruntime that it was exported with, or export it on this kind of machine."
            )
    return worst


def _outputs(loaded: Filter, whole: bytes, sound: NDArray[np.int16]) -> dict[str, NDArray[np.float32]]:
    """The outputs of the filter and of its one graph for a sound: features, and what the graph gives."""
    wav = sound.astype(np.float32) / np.float32(2.0**15)
    return {"features": loaded.features(wav), "whole": run_whole(whole, wav, loaded.engine.block_segments)}


def run_whole(whole: bytes, wav: Wave, block_segments: int = 1) -> NDArray[np.float32]:
    """The output of a filter's one graph for blocks of sound at 16 kHz: sound, without its delay, or spectra."""
    graph = session(whole)
    ports = {port.name: port for port in graph.get_inputs()}
    for name, port in ports.items():
        if not all(isinstance(size, int) for size in port.shape[1:]) or math.prod(port.shape[1:]) > _MOST_STATE:
            raise ModelError(f"the graph takes {name} {port.shape}; expected fixed sizes: export the filter again.")
    state = {
        name: np.zeros(port.shape, np.int64 if port.type == "tensor(int64)" else np.float32)
        for name, port in ports.items()
        if name != "sound"
    }
    if "permit" in state:
        state["permit"] += 1
    names = [port.name for port in graph.get_outputs()]
    outputs = []
    for block in wav.reshape(-1, block_segments, SEGMENT_SAMPLES):
        results = dict(zip(names, graph.run(names, {"sound": block, **state}), strict=True))
        outputs.append(results["heard" if "heard" in results else names[0]])
        state = {name: results.get(f"{name}_after", value) for name, value in state.items()}
    joined: NDArray[np.float32] = np.concatenate(outputs)
    return joined[MARGIN_SAMPLES:] if joined.ndim == 1 else joined


def sample(samples: int) -> Wave:
    """A buzz that glides and pauses, in faint noise, the same everywhere."""
    time = np.arange(samples) / SAMPLE_RATE
    turn = 2.0 * np.pi * np.cumsum(130.0 + 40.0 * np.sin(2.0 * np.pi * 0.7 * time)) / SAMPLE_RATE
    buzz = sum(np.sin(k * turn) / k for k in range(1, 25)) * np.maximum(0.0, np.sin(2.0 * np.pi * 1.5 * time))
    wav: Wave = (0.1 * buzz + 0.002 * np.random.default_rng(0).standard_normal(samples)).astype(np.float32)
    return wav
