"""A filter that computes with 8-bit weights, for small devices: the same folder with another graph."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES
from sottovoce.errors import ConfigError
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.models.codebook import Codebook
from sottovoce.runtime.engine import SCORES, Graph, OnnxEngine

_GRAPH = "filter.onnx"


def quantise(folder: Path, out: Path) -> dict[str, Any]:
    """Write a copy of the filter in `folder` whose convolutions and products are in 8 bits; returns its card.

    Scales of what flows through it are found anew for each input (dynamic quantisation). The card has the root mean
    square difference of its output from that of the original, on noise of unit deviation, as `deviation`.
    """
    card = read_folder(folder, "filter")
    if "quantised" in card:
        raise ConfigError(f"{folder} is in 8 bits already; name the filter that it was made from.")
    graph = in_8_bits((folder / _GRAPH).read_bytes())
    noise = np.random.default_rng(0).standard_normal((8, BINS, SEGMENT_FRAMES), dtype=np.float32)
    before, after = (_opened(folder, content).run(noise) for content in ((folder / _GRAPH).read_bytes(), graph))
    difference = after - before
    files = {name: (folder / name).read_bytes() for name in card["files"]}
    facts = {"quantised": "8 bits, dynamic", "deviation": float(np.sqrt(np.square(difference).mean()))}
    kept = {key: value for key, value in card.items() if key not in ("files", "schema", "kind", "sottovoce")}
    return write_folder(out, "filter", {**files, _GRAPH: graph}, {**kept, **facts})


def in_8_bits(graph: bytes) -> bytes:
    """An ONNX graph whose convolutions and products are in 8 bits, with scales found anew for each input."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quiet = logging.getLogger()
    level = quiet.level
    with tempfile.TemporaryDirectory() as scratch:
        before, after = Path(scratch) / "before.onnx", Path(scratch) / "after.onnx"
        before.write_bytes(graph)
        quiet.setLevel(logging.ERROR)  # it advises a preparation that these graphs do not need
        try:
            quantize_dynamic(before, after, weight_type=QuantType.QUInt8)
        finally:
            quiet.setLevel(level)
        return after.read_bytes()


def _opened(folder: Path, graph: bytes) -> Graph:
    """The graph of the filter in `folder`, or one in its place."""
    if not (folder / "codebook.npz").is_file():
        return OnnxEngine(graph)
    book = Codebook.from_bytes((folder / "codebook.npz").read_bytes())
    return Graph(graph, SCORES, (book.classes,))
