"""What a running filter costs for each hop of 10 ms, how late it is, and what it needs: time, memory, disk.

    python benchmarks/streaming.py [--minutes 60] [--json]

Each subject runs in a process of its own, on one thread, fed by 10 ms at top speed. RNNoise and silero-vad, which
others put in the same place, are timed in the same run where they are installed
(pip install --no-deps pyrnnoise silero-vad).
"""

from __future__ import annotations

import os

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})  # read at import

import argparse
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

HOP_S = 0.01
DEVICE = ("numpy", "onnxruntime", "soundfile", "soxr", "cffi", "pycparser", "flatbuffers", "protobuf", "packaging")
SHIPPED = ("digit", "level", "speech")
Wave = np.ndarray


def sound(minutes: float, sample_rate: int) -> Iterator[Wave]:
    """Noise of ever new colour and level, by 10 ms; what follows is made while nobody looks at the clock."""
    rng, hop = np.random.default_rng(0), round(HOP_S * sample_rate)
    for _ in range(round(minutes * 60)):
        colour = np.fft.rfft(rng.standard_normal(sample_rate))
        hertz = np.fft.rfftfreq(sample_rate, 1 / sample_rate)
        colour *= np.exp(-hertz / rng.uniform(200, 4000)) * (1 + np.sin(hertz / rng.uniform(50, 400)))
        second = np.fft.irfft(colour).astype(np.float32)
        second *= np.float32(rng.uniform(0.001, 0.2) / max(1e-9, second.std()))
        yield from second.reshape(-1, hop)


def resident_mb() -> float:
    """Memory of this process that is in use, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(step: Callable[[Wave], object], minutes: float, sample_rate: int) -> dict[str, float]:
    """Milliseconds of each hop, and how memory goes with the hours of sound."""
    times, memory = np.ones(round(6000 * minutes)), []  # ones, so that the memory is there
    for number, hop in enumerate(sound(minutes, sample_rate)):
        start = time.perf_counter()
        step(hop)
        times[number] = 1000 * (time.perf_counter() - start)
        if number % 3000 == 2999:
            memory.append(resident_mb())
    later = memory[len(memory) // 5 :]  # what is made once is made by then
    hours = np.arange(len(later)) / 120
    slope = float(np.polyfit(hours, later, 1)[0]) if len(later) > 2 else 0.0
    p50, p99, p999 = np.percentile(times, [50, 99, 99.9])
    return {
        "minutes": minutes,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "p999_ms": float(p999),
        "max_ms": float(times.max()),
        "ms_per_s": float(times.sum()) / (60 * minutes),
        "resident_mb": memory[-1] if memory else resident_mb(),
        "memory_slope_mb_per_h": slope,
    }


def ours(folder: str, minutes: float, sample_rate: int = 16000) -> dict[str, float]:
    """A filter of ours."""
    from sottovoce.runtime.filter import Filter

    stream = Filter.load(folder).stream(sample_rate)
    assert "torch" not in sys.modules
    return {"latency_ms": 1000 * stream.latency_samples / sample_rate, **timed(stream.feed, minutes, sample_rate)}


def rnnoise(minutes: float) -> dict[str, float]:
    """RNNoise by its binding, 10 ms at 48 kHz."""
    import importlib.util

    spec = importlib.util.find_spec("pyrnnoise")
    assert spec is not None and spec.origin is not None
    inner = importlib.util.spec_from_file_location("rnnoise", Path(spec.origin).with_name("rnnoise.py"))
    assert inner is not None and inner.loader is not None
    binding = importlib.util.module_from_spec(inner)  # and not the package, which imports much more
    inner.loader.exec_module(binding)
    state = binding.create()
    return timed(lambda hop: binding.process_mono_frame(state, np.clip(hop, -1, 1)), minutes, 48000)


def silero(minutes: float) -> dict[str, float]:
    """The voice detector silero-vad by its ONNX graph, which takes 32 ms at once: the hops between cost nothing."""
    from sottovoce.graphs import session

    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None and spec.origin is not None
    graph = session(Path(spec.origin).parent / "data" / "silero_vad.onnx", others=True)
    graph.limit_s = None  # a clock would be timed as well
    held, state = np.zeros(64, np.float32), np.zeros((2, 1, 128), np.float32)

    def step(hop: Wave) -> None:
        nonlocal held, state
        held = np.concatenate([held, hop])
        if len(held) >= 64 + 512:
            given = {"input": held[None, :576], "state": state, "sr": np.array(16000)}
            state, held = graph.run(None, given)[1], held[512:]

    return timed(step, minutes, 16000)


def importing() -> dict[str, float]:
    """Seconds until a filter is imported and until it is loaded, of the fastest of five fresh processes, and memory."""
    code = (
        "import sys, time; t = time.perf_counter(); from sottovoce.runtime.filter import Filter;"
        "a = time.perf_counter() - t; from sottovoce.runtime import bundled; Filter.load(bundled.PLACE / 'digit');"
        "print(a, time.perf_counter() - t, 'torch' in sys.modules)"
    )
    found = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() for _ in "12345"
    ]
    assert all(torch == "False" for *_, torch in found)
    return {"import_s": min(float(a) for a, *_ in found), "loaded_s": min(float(b) for _, b, _ in found)}


def installed_mb() -> dict[str, float]:
    """Megabytes on disk of what a device needs besides Python: our package with its filters, and the libraries."""
    found = {}
    for name in DEVICE:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = sum(path.stat().st_size for path in (file.locate() for file in files) if path.is_file()) / 1e6
    import sottovoce

    own = Path(sottovoce.__file__).parent
    found["sottovoce"] = sum(p.stat().st_size for p in own.rglob("*") if p.suffix != ".pyc" and p.is_file()) / 1e6
    return found


def measure(minutes: float) -> dict[str, Any]:
    """All of it, each subject in a process of its own."""
    streams: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        words = Path(scratch) / "words"
        make = (
            "import sys, numpy as np, torch; from pathlib import Path; from sottovoce.runtime.export import save_words;"
            "from sottovoce.models.digit_encoder import DigitEncoder;"
            "from sottovoce.models.word_table import WordTable;"
            "torch.manual_seed(0); table = WordTable(np.random.default_rng(0).random((10, 161, 60), dtype=np.float32));"
            "save_words(Path(sys.argv[1]), DigitEncoder(), table, {'permit': ['digits']})"
        )
        subprocess.run([sys.executable, "-c", make, str(words)], check=True, capture_output=True)
        for name in SHIPPED:
            streams[f"{name} (codebook)"] = child("ours", name, minutes)
        streams["digit (codebook), 48 kHz"] = child("ours", "digit", minutes, 48000)
        streams["words (frame-wise)"] = child("ours", str(words), minutes)
    for name in ("rnnoise", "silero"):
        if importlib.util.find_spec({"rnnoise": "pyrnnoise", "silero": "silero_vad"}[name]):
            streams[name] = child(name, min(minutes, 10.0))
    return {"streams": streams, "import": importing(), "installed_mb": installed_mb()}


def child(*arguments: object) -> dict[str, float]:
    """What a function of this file gives in a fresh process."""
    command = [sys.executable, __file__, "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "| stream, by 10 ms | latency, ms | p50, ms | p99, ms | p99.9, ms | max, ms | ms per s | resident, MB | MB/h |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found["streams"].items():
        late = f"{one['latency_ms']:.1f}" if "latency_ms" in one else "–"
        times = " | ".join(f"{one[key]:.3f}" for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms", "ms_per_s"))
        lines.append(f"| {name} | {late} | {times} | {one['resident_mb']:.0f} | {one['memory_slope_mb_per_h']:+.2f} |")
    sizes = found["installed_mb"]
    parts = ", ".join(f"{name} {size:.1f}" for name, size in sorted(sizes.items(), key=lambda item: -item[1]))
    return "\n".join(
        [
            *lines,
            "",
            f"Over {next(iter(found['streams'].values()))['minutes']:.0f} minutes of sound, 10 at most of others'. "
            "Latency is that of the design, without the time to compute. MB/h: slope of the memory over the last four "
            "fifths.",
            "",
            f"Imported in {found['import']['import_s']:.2f} s, a filter loaded in {found['import']['loaded_s']:.2f} s, "
            f"no torch. On disk {sum(sizes.values()):.0f} MB besides Python: {parts}.",
        ]
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        name, *rest = sys.argv[2:]
        if name == "ours":
            from sottovoce.runtime import bundled

            print(json.dumps(ours(str(bundled.find(rest[0])), float(rest[1]), *map(int, rest[2:]))))
        else:
            print(json.dumps({"rnnoise": rnnoise, "silero": silero}[name](float(rest[0]))))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="of sound that each is fed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    found = measure(given.minutes)
    print(json.dumps(found, indent=1) if given.json else table(found))
