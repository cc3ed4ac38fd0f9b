"""A filter that computes with 8-bit weights, for small devices: the same folder with another graph."""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, Spectrum
from sottovoce.errors import ConfigError
from sottovoce.models.checkpoint import read_folder, write_folder
from sottovoce.runtime.engine import INPUT
from sottovoce.runtime.filter import Filter

_GRAPH = "filter.onnx"
_BATCH = 8


def quantise(folder: Path, out: Path) -> dict[str, Any]:
    """Write a copy of the filter in `folder` whose convolutions and products are in 8 bits; returns its card.

    Scales of activations are computed anew for each input (dynamic quantisation). The card has the root mean
    square difference of its output from that of the original, on noise of unit deviation, as `deviation`.
    """
    card = read_folder(folder, "filter")
    if "quantised" in card:
        raise ConfigError(f"{folder} is in 8 bits already; name the filter that it was made from.")
    files = {name: (folder / name).read_bytes() for name in card["files"]}
    before, graph = Filter.load(folder).engine.network(), dynamic(files[_GRAPH])
    noise = np.random.default_rng(0).standard_normal((8, BINS, SEGMENT_FRAMES), dtype=np.float32)
    difference = before.like(graph).run(noise) - before.run(noise)
    facts = {"quantised": "8 bits, dynamic", "deviation": float(np.sqrt(np.square(difference).mean()))}
    kept = {key: value for key, value in card.items() if key not in ("files", "schema", "kind", "sottovoce")}
    return write_folder(out, "filter", {**files, _GRAPH: graph}, {**kept, **facts})


def dynamic(graph: bytes) -> bytes:
    """The ONNX graph with 8-bit weights, and scales that are computed anew for each input."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def work(source: Path, out: Path) -> None:
        quantize_dynamic(source, out, weight_type=QuantType.QUInt8)

    return _converted(graph, work)


def static(graph: bytes, spectra: Spectrum) -> bytes:
    """The ONNX graph with 8-bit weights, and scales of activations fixed by `spectra` [S, 161, 128].

    Give a few hundred of real sounds: fixed by others, they are so wrong that answers change.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter([{INPUT: spectra[i : i + _BATCH]} for i in range(0, len(spectra), _BATCH)])

        def get_next(self) -> dict[str, Spectrum] | None:
            return next(self._left, None)

    def work(source: Path, out: Path) -> None:
        prepared = source.with_name("prepared.onnx")
        quant_pre_process(str(source), str(prepared))
        quantize_static(
            prepared,
            out,
            Batches(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "ConvTranspose", "Gemm", "MatMul"],  # and not what the answers are put into
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )

    return _converted(graph, work)


def _converted(graph: bytes, work: Callable[[Path, Path], None]) -> bytes:
    """What `work` writes for a graph, without the advice that it logs."""
    quiet, by_machine = logging.getLogger(), uuid.uuid1
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    uuid.uuid1 = uuid.uuid4  # type: ignore[assignment]  # onnx opens a socket to name a file by the network card
    try:
        with tempfile.TemporaryDirectory() as scratch:
            source, out = Path(scratch) / "float.onnx", Path(scratch) / "int8.onnx"
            source.write_bytes(graph)
            work(source, out)
            return out.read_bytes()
    finally:
        uuid.uuid1 = by_machine
        quiet.setLevel(level)
