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
_FEW_WEIGHTS = 1000  # are not worth packing


def quantise(folder: Path, out: Path) -> dict[str, Any]:
    """Write a copy of the filter in `folder` whose convolutions and products are in 8 bits; returns its card.

    Scales of what flows through it are found anew for each input (dynamic quantisation). The card has the root mean
    square difference of its output from that of the original, on noise of unit deviation, as `deviation`.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    card = read_folder(folder, "filter")
    if "quantised" in card:
        raise ConfigError(f"{folder} is in 8 bits already; name the filter that it was made from.")
    with tempfile.TemporaryDirectory() as scratch:
        quiet = logging.getLogger()
        level = quiet.level
        quiet.setLevel(logging.ERROR)  # it advises a preparation that these graphs do not need
        try:
            quantize_dynamic(folder / _GRAPH, Path(scratch) / _GRAPH, weight_type=QuantType.QUInt8)
        finally:
            quiet.setLevel(level)
        graph = (Path(scratch) / _GRAPH).read_bytes()
    noise = np.random.default_rng(0).standard_normal((8, BINS, SEGMENT_FRAMES), dtype=np.float32)
    before, after = (_opened(folder, content).run(noise) for content in ((folder / _GRAPH).read_bytes(), graph))
    difference = after - before
    files = {name: (folder / name).read_bytes() for name in card["files"]}
    facts = {"quantised": "8 bits, dynamic", "deviation": float(np.sqrt(np.square(difference).mean()))}
    kept = {key: value for key, value in card.items() if key not in ("files", "schema", "kind", "sottovoce")}
    return write_folder(out, "filter", {**files, _GRAPH: graph}, {**kept, **facts})


def _opened(folder: Path, graph: bytes) -> Graph:
    """The graph of the filter in `folder`, or one in its place."""
    if not (folder / "codebook.npz").is_file():
        return OnnxEngine(graph)
    book = Codebook.from_bytes((folder / "codebook.npz").read_bytes())
    return Graph(graph, SCORES, (book.classes,))


def packed(graph: bytes) -> bytes:
    """The same ONNX graph with its weights in 8 bits, a scale for each output channel: a quarter of the size.

    What flows through it stays float: weights are unpacked when the graph is loaded.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(graph)
    kept, nodes = [], []
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.dtype != np.float32 or weights.ndim < 2 or weights.size < _FEW_WEIGHTS:
            kept.append(tensor)
            continue
        scale = np.maximum(np.abs(weights).reshape(len(weights), -1).max(axis=1), 1e-12) / 127.0
        steps = np.rint(weights / scale.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
        names = [f"{tensor.name}/{part}" for part in ("steps", "scale", "zero")]
        arrays = (steps, scale.astype(np.float32), np.zeros(len(scale), np.int8))
        kept += [numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True)]
        nodes.append(helper.make_node("DequantizeLinear", names, [tensor.name], axis=0))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    unpacked = [*nodes, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(unpacked)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
