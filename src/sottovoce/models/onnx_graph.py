"""Networks as ONNX graphs, and graphs with their weights in 8 bits."""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

_OPSET = 17
_FEW_WEIGHTS = 1000  # are not worth packing


def traced(
    network: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], batch: bool = False
) -> bytes:
    """An ONNX graph of a network; with `batch` the first axis of all inputs and outputs is free."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age, and of instance norm, which is right
        torch.onnx.export(
            network,
            inputs,
            file,  # type: ignore[arg-type]  # this exporter takes it, the other does not
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in [*names, *outputs]} if batch else None,
            opset_version=_OPSET,
            dynamo=False,  # the other exporter needs one more package
        )
    return file.getvalue()


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
