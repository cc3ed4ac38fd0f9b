"""Whether pruning pays on the encoder of a codebook filter: weights or whole channels set to zero, without training.

    python benchmarks/pruning.py FILTER CORPUS

FILTER is a folder with a float graph, as `sottovoce train` writes it. Time is that of the graph as it is, and of one
without its zero channels at best: their share of it is taken away, though reading and writing them is not all.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from sottovoce.jobs import export as job
from sottovoce.models.checkpoint import read_folder
from sottovoce.progress import Progress

SHARES = (0.0, 0.1, 0.25, 0.5)


def pruned(graph: bytes, share: float, channels: bool) -> bytes:
    """The graph with this share of the weights of each convolution, or of its output channels, set to zero."""
    model = onnx.load_from_string(graph)
    for tensor in model.graph.initializer:
        weights = numpy_helper.to_array(tensor).copy()
        if weights.ndim < 3 or weights.size < 1000:
            continue
        size = np.abs(weights).reshape(len(weights), -1).mean(axis=1) if channels else np.abs(weights)
        weights[size < np.quantile(size, share)] = 0.0
        tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    return bytes(model.SerializeToString())


def main(folder: Path, spec: str) -> None:
    card = read_folder(folder, "filter")
    graph = (folder / "filter.onnx").read_bytes()
    _, spectra = job.heard(spec, card, Progress())
    print("| zero | of | same codes | ms per s | compressed, kB |\n|---|---|---|---|---|")
    for channels in (False, True):
        graphs = {"float": graph} | {f"{share:.0%}": pruned(graph, share, channels) for share in SHARES}
        for name, one in job.compared(folder, graphs, spectra).items():
            size = len(zlib.compress(graphs[name])) / 1000
            kind = "channels" if channels else "weights"
            print(f"| {name} | {kind} | {one['same_codes']:.1%} | {one['ms_per_s']:.2f} | {size:.0f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
