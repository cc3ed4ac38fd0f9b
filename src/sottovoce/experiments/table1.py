"""Table 1 of the opt-in paper on this machine: how long one second of audio takes to obfuscate, by what, at what cost.

Networks have random weights, which cost what trained ones do. Each is measured in a process of its own, on one thread
and on two, one segment of 1.28 s at a time.
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sottovoce.audio.segment import FRONT_END, front_end
from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES, SEGMENT_S, SEGMENT_SAMPLES
from sottovoce.errors import ConfigError
from sottovoce.experiments.experiment import Cells, Experiment, Place, Result, RunSettings, SharedJob, Table
from sottovoce.files import write_file
from sottovoce.machine import processor
from sottovoce.runtime.bundled import PLACE
from sottovoce.runtime.codebook import CodebookEngine
from sottovoce.runtime.engine import CODEBOOK, SCORES, FilterConfig, Graph

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = {"Raspberry Pi 2B": 1923.0, "Jetson TX1": 34.0, "GTX 1080 Ti": 1.0}  # ms for a second of audio
NETWORKS = {  # what is measured: architecture and sizes
    "paper": ("cyclegan-vc2", {"bins": BINS, "blocks": 3, "first": 16, "second": 32, "body": 32, "hidden": 64}),
    "compact": ("compact-autoencoder", {"width": 16, "blocks": 2, "body": 8}),
    "codebook": ("compact-recogniser", {"classes": 11}),
}
TITLES = {"paper": "the paper's obfuscator", "compact": "compact obfuscator", "codebook": "codebook, encode and draw"}
WAYS = ("eager", "compiled", "onnx", "int8")
GRAPHS = ("onnx", "int8")
THREADS = (1, 2)
_BOOK = PLACE / "digit" / "codebook.npz"  # ten classes and none


@dataclass(frozen=True)
class GraphJob(SharedJob):
    """The ONNX graphs of a network, as a filter ships it and with 8-bit weights."""

    network: str

    def make(self, place: Place) -> None:
        """Write them unless they are there."""
        import torch

        from sottovoce.models.architectures import build
        from sottovoce.runtime.export import encoder_to_onnx, to_onnx
        from sottovoce.runtime.quantise import dynamic

        if (place.kept / f"{self.network}-int8.onnx").is_file():
            return
        torch.manual_seed(0)
        architecture, sizes = NETWORKS[self.network]
        built = build(architecture, sizes).eval()
        graph = encoder_to_onnx(built, sizes["classes"]) if self.network == "codebook" else to_onnx(built)
        write_file(place.kept / f"{self.network}-onnx.onnx", graph)
        write_file(place.kept / f"{self.network}-int8.onnx", dynamic(graph))


@dataclass(frozen=True)
class Measurement(RunSettings):
    """One network, in one of the ways, on so many threads, for at least `least_s` seconds and `least_runs` times."""

    network: str = "front end"
    way: str = "numpy"
    threads: int = 1
    graphs: GraphJob | None = None
    least_s: float = 2.0
    least_runs: int = 5


def measurements() -> Iterator[Measurement]:
    """The front end, then every network; that of the codebook draws without torch."""
    yield Measurement()
    for network in NETWORKS:
        for way in WAYS if network != "codebook" else GRAPHS:
            graphs = GraphJob(network) if way in GRAPHS else None
            yield from (Measurement(network, way, threads, graphs) for threads in THREADS)


def measure(run: Measurement, place: Place) -> dict[str, Any]:
    """Measure in a process of its own; ConfigError where that fails, but for a compiler, which is not everywhere."""
    if run.graphs is not None:
        run.graphs.make(place)
    code = "import json, sys; from sottovoce.experiments.table1 import measured; "
    code += "print(json.dumps(measured(json.loads(sys.argv[1]), sys.argv[2])))"
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # which libraries read at import
    environment = {**os.environ, **dict.fromkeys(names, str(run.threads))}
    command = [sys.executable, "-c", code, json.dumps({**asdict(run), "graphs": None}), str(place.kept)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        figures = json.loads(done.stdout.splitlines()[-1])
    else:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        if run.way != "compiled":
            raise ConfigError(f"{run.network}, {run.way} could not be measured ({reason}).")
        figures = {"failed": reason}
    machine = {"processor": processor(), "cores": os.cpu_count(), "python": platform.python_version()}
    about = {"network": run.network, "way": run.way, "threads": run.threads}
    return {**about, **figures, **_cost_of(run.network), "machine": machine}


def _cost_of(network: str) -> dict[str, float]:
    from sottovoce.models.architectures import build

    return cost(build(*NETWORKS[network]).eval()) if network in NETWORKS else {}


def measured(settings: dict[str, Any], place: str) -> dict[str, float]:
    """Milliseconds for a second of audio, best and median of the runs, and MiB that the process grew by.

    What it grew by includes the libraries that only this way needs, such as torch.
    """
    run = Measurement(**settings)
    rng = np.random.default_rng(0)
    before = _peak_mib()
    wave = rng.standard_normal((1, SEGMENT_SAMPLES), dtype=np.float32)
    once = (lambda: front_end(wave)) if run.way == "numpy" else runner(run.network, run.way, run.threads, Path(place))
    once()
    times: list[float] = []
    while len(times) < run.least_runs or sum(times) < run.least_s:
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    per_second = 1000.0 / SEGMENT_S
    return {
        "ms": round(min(times) * per_second, 3),
        "median_ms": round(statistics.median(times) * per_second, 3),
        "mib": round(_peak_mib() - before, 1),
    }


def runner(network: str, way: str, threads: int, place: Path) -> Callable[[], object]:
    """One segment of spectra through a network, in one of the ways."""
    spectra = np.random.default_rng(0).standard_normal((1, BINS, SEGMENT_FRAMES), dtype=np.float32)
    if way in GRAPHS:
        graph = (place / f"{network}-{way}.onnx").read_bytes()
        if network != "codebook":
            obfuscator = Graph(graph, threads=threads)
            return lambda: obfuscator.run(spectra)
        from sottovoce.models.codebook import Codebook

        book = Codebook.from_bytes(_BOOK.read_bytes())
        config = FilterConfig(FRONT_END, CODEBOOK, {}, 0.0, 1.0)
        drawing = CodebookEngine(config, book.tasks, Graph(graph, SCORES, (book.classes,), threads), book)
        return lambda: drawing.step(spectra, drawing.initial_state())
    import torch

    from sottovoce.models.architectures import build

    torch.set_num_threads(threads)
    built = build(*NETWORKS[network]).eval()
    called: Any = torch.compile(built) if way == "compiled" else built
    inputs = torch.from_numpy(spectra)

    def once() -> object:
        with torch.no_grad():
            return called(inputs)

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


def ratios(table: dict[str, Any]) -> str:
    """One line for each way on one thread: how many times as fast as the paper's obfuscator in eager torch."""
    rows = [row for row in table["rows"] if row["threads"] == 1 and "ms" in row]
    slow = next(row["ms"] for row in rows if (row["network"], row["way"]) == ("paper", "eager"))
    return "\n".join(
        f"{_name(row):44} {slow / row['ms']:7.1f} times as fast   {row['ms']:7.2f} ms for 1 s of sound" for row in rows
    )


def _name(row: Result) -> str:
    return f"{TITLES.get(row['network'], row['network'])}, {row['way']}"


def _caption(results: Sequence[Result]) -> str:
    return f"{results[0]['machine']['processor']}, {results[0]['machine']['cores']} cores"


def _lines(results: Iterable[Result]) -> Iterator[Any]:
    """What was measured here, then the devices of the paper."""
    yield from results
    yield from (Cells([f"the paper, {device}", "", f"{ms:g}", "759,000", "", ""]) for device, ms in PAPER.items())


TABLE = Table(
    (
        ("", _name),
        ("threads", lambda row: str(row["threads"])),
        (
            "ms for 1 s of audio (median)",
            lambda row: "failed" if "failed" in row else f"{row['ms']:.2f} ({row['median_ms']:.2f})",
        ),
        ("parameters", lambda row: f"{row['parameters']:,}" if "parameters" in row else ""),
        ("MMAC for 1 s", lambda row: f"{row['macs_per_s'] / 1e6:,.0f}" if "macs_per_s" in row else ""),
        ("memory, MiB", lambda row: f"{row['mib']:.0f}" if "mib" in row else ""),
    ),
    _lines,
    _caption,
)

EXPERIMENT = Experiment(
    "table1",
    "How long does one second of audio take to obfuscate on this machine, in which way, at what cost?",
    "a minute or two",
    {"compact": tuple(measurements())},
    measure,
    TABLE,
    side_by_side=False,
)


def everything(place: Path) -> dict[str, Any]:
    """All measurements, one after the other, with what they need kept in `place`."""
    return {"paper_ms": PAPER, "rows": [measure(run, Place(Path(), place, place)) for run in measurements()]}
