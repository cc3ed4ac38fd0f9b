"""Table 1 of the opt-in paper on this machine: how long one second of audio takes to obfuscate, by what, at what cost.

Made by `sottovoce experiment table1`. Networks have random weights, which cost what trained ones do. Each is measured
in a process of its own, on one thread and on two, one segment of 1.28 s at a time. A killed run goes on.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sottovoce.audio.segment import front_end
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_S, SEGMENT_SAMPLES
from sottovoce.errors import ConfigError
from sottovoce.files import write_file
from sottovoce.runtime.engine import SCORES, CodebookEngine, Graph, OnnxEngine
from sottovoce.runtime.shipped import PLACE

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = {"Raspberry Pi 2B": 1923.0, "Jetson TX1": 34.0, "GTX 1080 Ti": 1.0}  # ms for a second of audio
NETWORKS = {  # what is measured: architecture and sizes
    "paper": ("cyclegan-vc2", {"bins": BINS, "blocks": 3, "divisor": 8}),
    "compact": ("compact-autoencoder", {"width": 16, "blocks": 2}),
    "codebook": ("compact-recogniser", {"classes": 10}),
}
TITLES = {"paper": "the paper's obfuscator", "compact": "compact obfuscator", "codebook": "codebook, encode and draw"}
WAYS = ("eager", "compiled", "onnx", "int8")
GRAPHS = ("onnx", "int8")
THREADS = (1, 2)
_BOOK = PLACE / "emotion-gender" / "codebook.npz"  # ten classes of two tasks
_LEAST_S, _LEAST_RUNS = 2.0, 5


def run(corpora: Path, out: Path, workers: int) -> str:
    """All measurements, one after the other; writes `out`/table1.json, returns the table. Needs no corpus."""
    found = everything(out / "runs" / "table1")
    write_file(out / "table1.json", json.dumps(found, indent=1).encode())
    return table(found)


def everything(place: Path) -> dict[str, Any]:
    """All measurements, each kept in `place` as it ends."""
    rows = [_kept("front end", "numpy", 1, place)]
    for network in NETWORKS:
        _graphs(network, place)
        ways = [way for way in WAYS if network != "codebook" or way in GRAPHS]  # it draws without torch
        rows += [_kept(network, way, threads, place) for way in ways for threads in THREADS]
    return {
        "paper_ms": PAPER,
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "cost": {network: _cost_of(network) for network in NETWORKS},
        "rows": rows,
    }


def _cost_of(network: str) -> dict[str, float]:
    from sottovoce.models.architectures import build

    return cost(build(*NETWORKS[network]).eval())


def _graphs(network: str, place: Path) -> None:
    """Write the ONNX graphs of a network, as a filter ships it and with 8-bit weights, unless they are there."""
    import torch

    from sottovoce.models.architectures import build
    from sottovoce.runtime.export import encoder_to_onnx, to_onnx
    from sottovoce.runtime.quantise import dynamic

    if (place / f"{network}-int8.onnx").is_file():
        return
    torch.manual_seed(0)
    built = build(*NETWORKS[network]).eval()
    graph = encoder_to_onnx(built, NETWORKS[network][1]["classes"]) if network == "codebook" else to_onnx(built)
    write_file(place / f"{network}-onnx.onnx", graph)
    write_file(place / f"{network}-int8.onnx", dynamic(graph))


def _kept(network: str, way: str, threads: int, place: Path) -> dict[str, Any]:
    """What one measurement found, made in a process of its own unless that was done."""
    path = place / f"{network.replace(' ', '-')}-{way}-{threads}.json"
    if not path.is_file():
        code = "import json, sys; from sottovoce.experiments.table1 import measured; "
        code += "print(json.dumps(measured(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])))"
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # which libraries read at import
        environment = {**os.environ, **dict.fromkeys(names, str(threads))}
        command = [sys.executable, "-c", code, network, way, str(threads), str(place)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            if way != "compiled":
                raise ConfigError(f"{network}, {way} could not be measured ({said[0]}).")
            figures = {"failed": said[0]}  # a compiler is not everywhere
        else:
            figures = json.loads(done.stdout.splitlines()[-1])
        write_file(path, json.dumps({"network": network, "way": way, "threads": threads, **figures}).encode())
        print(f"{network}, {way}, {threads} threads", flush=True)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def measured(network: str, way: str, threads: int, place: str) -> dict[str, float]:
    """Milliseconds for a second of audio, best and median of the runs, and MiB that the process grew by.

    What it grew by includes the libraries that only this way needs, such as torch.
    """
    rng = np.random.default_rng(0)
    before = _peak_mib()
    wave = rng.standard_normal((1, SEGMENT_SAMPLES), dtype=np.float32)
    once = (lambda: front_end(wave)) if way == "numpy" else _runner(network, way, threads, Path(place))
    once()
    times: list[float] = []
    while len(times) < _LEAST_RUNS or sum(times) < _LEAST_S:
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    per_second = 1000.0 / SEGMENT_S
    return {
        "ms": round(min(times) * per_second, 3),
        "median_ms": round(statistics.median(times) * per_second, 3),
        "mib": round(_peak_mib() - before, 1),
    }


def _runner(network: str, way: str, threads: int, place: Path) -> Callable[[], object]:
    """One segment of spectra through a network, in one of the ways."""
    spectra = np.random.default_rng(0).standard_normal((1, BINS, SEGMENT_FRAMES), dtype=np.float32)
    if way in GRAPHS:
        graph = (place / f"{network}-{way}.onnx").read_bytes()
        if network != "codebook":
            engine = OnnxEngine(graph, threads)
            return lambda: engine.run(spectra)
        from sottovoce.models.codebook import Codebook

        book = Codebook.from_bytes(_BOOK.read_bytes())
        drawing = CodebookEngine(Graph(graph, SCORES, (book.classes,), threads), book, book.tasks)
        return lambda: drawing.step(spectra, drawing.initial_state())
    import torch

    from sottovoce.models.architectures import build

    torch.set_num_threads(threads)
    built = build(*NETWORKS[network]).eval()
    called: Any = torch.compile(built) if way == "compiled" else built
    heard = torch.from_numpy(spectra)

    def once() -> object:
        with torch.no_grad():
            return called(heard)

    return once


def cost(network: nn.Module) -> dict[str, float]:
    """Parameters, and multiply-accumulates of convolutions and linear layers for a second of sound."""
    import torch
    from torch import nn

    macs = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        # A kernel is applied once for every output, a transposed one for every input, of one of its channels.
        places = inputs[0] if isinstance(layer, (nn.ConvTranspose1d, nn.ConvTranspose2d)) else output
        macs += weight.numel() * places.numel() // weight.shape[0]

    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, kinds)]
    with torch.no_grad():
        network(torch.zeros(1, BINS, SEGMENT_FRAMES))
    for hook in hooks:
        hook.remove()
    return {"parameters": sum(weight.numel() for weight in network.parameters()), "macs_per_s": macs / SEGMENT_S}


def _peak_mib() -> float:
    """The most memory that this process has held."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, where what getrusage says would include the process that started this one
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def ratios(found: dict[str, Any]) -> str:
    """One line for each way on one thread: how many times as fast as the paper's obfuscator in eager torch."""
    rows = [row for row in found["rows"] if row["threads"] == 1 and "ms" in row]
    slow = next(row["ms"] for row in rows if (row["network"], row["way"]) == ("paper", "eager"))
    names = [f"{TITLES.get(row['network'], row['network'])}, {row['way']}" for row in rows]
    return "\n".join(
        f"{name:44} {slow / row['ms']:7.1f} times as fast   {row['ms']:7.2f} ms for 1 s of sound"
        for name, row in zip(names, rows, strict=True)
    )


def table(found: dict[str, Any]) -> str:
    """Markdown: what was measured here, then the devices of the paper."""
    machine = found["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores",
        "",
        "| | threads | ms for 1 s of audio (median) | parameters | MMAC for 1 s | memory, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        known = found["cost"].get(row["network"])
        cells = [
            f"{TITLES.get(row['network'], row['network'])}, {row['way']}",
            str(row["threads"]),
            "failed" if "failed" in row else f"{row['ms']:.2f} ({row['median_ms']:.2f})",
            f"{known['parameters']:,}" if known else "",
            f"{known['macs_per_s'] / 1e6:,.0f}" if known else "",
            f"{row['mib']:.0f}" if "mib" in row else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"| the paper, {device} | | {ms:g} | 759,000 | | |" for device, ms in found["paper_ms"].items()]
    return "\n".join(lines)
