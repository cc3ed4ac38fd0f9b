"""How fast each stage is on one thread, in seconds of sound per second, and what the two obfuscators cost.

    python benchmarks/speed.py [FILTER] [--json]

Without FILTER the filter measured is a random compact one. Every figure is the best of several runs, and all come from
one process, so that their ratios hold where the figures do not.
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sottovoce.audio import writer
from sottovoce.audio.griffin_lim import ITERATIONS, PhaseContinuation
from sottovoce.audio.segment import cut, front_end
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES, SEGMENT_S, SEGMENT_SAMPLES, stft
from sottovoce.corpora.cache import load
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.experiments.table1 import cost
from sottovoce.methods.optin.settings import PRESETS
from sottovoce.models.architectures import build
from sottovoce.runtime import bundled
from sottovoce.runtime.engine import BATCH, Graph
from sottovoce.runtime.export import save_filter, to_onnx
from sottovoce.runtime.export import whole as one_graph
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.golden import run_whole

COMPACT = (PRESETS["compact"].architecture, PRESETS["compact"].obfuscator)
PAPER = ("cyclegan-vc2", {"bins": BINS, "blocks": 3, "first": 16, "second": 32, "body": 32, "hidden": 64})
SOUND_S = 4 * BATCH * SEGMENT_S  # measured on: 82 s, so that nothing fits the cache that would not in real use
LEAST_S, LEAST_RUNS = 1.0, 3


def fastest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of at least three runs, for at least a second, after one to warm up."""
    run()
    times: list[float] = []
    while len(times) < LEAST_RUNS or sum(times) < LEAST_S:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def loader_speed() -> float:
    """Seconds of sound that `Sounds.segments` gathers per second, in batches of 32 from 200 synthetic clips."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        clips = []
        for i in range(200):
            path = Path(scratch) / f"{i}.wav"
            writer.write(path, rng.uniform(-0.1, 0.1, 3 * SAMPLE_RATE).astype(np.float32))
            clips.append(Clip(path, path.name, {}))
        manifest = Manifest("noise", "noise", tuple(clips), "none", "none", "utterance")
        _, sounds = load(manifest, Path(scratch) / "cache")
        indices, starts = rng.integers(0, 200, 32), rng.integers(0, SAMPLE_RATE, 32)
        return 32 * SEGMENT_S / fastest(lambda: sounds.segments(indices, starts, SEGMENT_SAMPLES))


def measure(folder: Path | None) -> dict[str, Any]:
    """Every figure, by name."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    wav = (0.1 * np.random.default_rng(0).standard_normal(round(SOUND_S * SAMPLE_RATE))).astype(np.float32)
    segments = cut(wav)
    spectra = front_end(segments)
    magnitude = np.abs(stft(wav))
    magnitudes = [magnitude[:, i : i + SEGMENT_FRAMES] for i in range(0, magnitude.shape[1], SEGMENT_FRAMES)]
    compact, paper = build(*COMPACT).eval(), build(*PAPER).eval()
    with tempfile.TemporaryDirectory() as scratch:
        if folder is None:
            folder = Path(scratch) / "filter"
            save_filter(folder, compact, *COMPACT, 1.0, 1.0, {})
        whole = Filter.load(folder)
    codebook = Filter.load(bundled.PLACE / "digit")
    graph = one_graph(codebook, (bundled.PLACE / "digit" / "filter.onnx").read_bytes())
    compact_engine, paper_engine = Graph(to_onnx(compact)), Graph(to_onnx(paper))

    def eager(network: nn.Module) -> None:
        with torch.no_grad():
            network(torch.from_numpy(spectra[:BATCH]))

    few_s = BATCH * SEGMENT_S
    return {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "onnxruntime": version("onnxruntime"),
        },
        "times_real_time": {
            "front end": SOUND_S / fastest(lambda: front_end(segments)),
            "compact obfuscator, engine": SOUND_S / fastest(lambda: compact_engine.run(spectra)),
            "compact obfuscator, eager torch": few_s / fastest(lambda: eager(compact)),
            "paper's obfuscator, engine": few_s / fastest(lambda: paper_engine.run(spectra[:BATCH])),
            "paper's obfuscator, eager torch": few_s / fastest(lambda: eager(paper)),
            f"sound, {ITERATIONS} steps": SOUND_S / fastest(lambda: list(map(PhaseContinuation().feed, magnitudes))),
            "codebook filter, one graph from sound to sound": SOUND_S / fastest(lambda: run_whole(graph, wav)),
            "codebook filter, to features": SOUND_S / fastest(lambda: codebook.features(wav)),
            "codebook filter, to sound": SOUND_S / fastest(lambda: codebook.filter(wav)),
            "filter, to features": SOUND_S / fastest(lambda: whole.features(wav)),
            "filter, to sound": SOUND_S / fastest(lambda: whole.filter(wav)),
            "batch loader": loader_speed(),
        },
        "cost": {
            "codebook's encoder (10 classes)": cost(build("compact-recogniser", {"classes": 10}).eval()),
            "compact obfuscator": cost(compact),
            "paper's obfuscator": cost(paper),
        },
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as text; the last column compares with the paper's obfuscator in eager torch."""
    base = figures["times_real_time"]["paper's obfuscator, eager torch"]
    lines = [f"{'one thread':48}{'x real time':>12}{'ratio':>10}"]
    lines += [f"{name:48}{speed:12.0f}{speed / base:10.1f}" for name, speed in figures["times_real_time"].items()]
    lines += ["", f"{'cost':48}{'parameters':>12}{'MMAC/s':>10}"]
    for name, one in figures["cost"].items():
        lines.append(f"{name:48}{one['parameters']:12,}{one['macs_per_s'] / 1e6:10,.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filter", nargs="?", type=Path, help="a filter folder")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = measure(arguments.filter)
    print(json.dumps(found, indent=1) if arguments.json else table(found))
