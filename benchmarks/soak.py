"""Whether `sottovoce live` grows, or falls behind, over minutes in real time.

    python benchmarks/soak.py --sounds FOLDER [--filter FILTER] [--minutes 10] [--json]

The sounds of FOLDER, joined, go through `live --simulate`, in real time, to a file. What comes out is compared with
what the filter's stream makes of the same sound at once: it has to be that, sample for sample, as late in the last
minute as in the first. Memory is that of the tool and of its worker, resident, every 5 seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sottovoce.audio import io, writer
from sottovoce.audio.spectrum import SAMPLE_RATE
from sottovoce.runtime import bundled
from sottovoce.runtime.filter import Filter

_STEP_S = 5.0
_MEMORY = 0.5  # of the filter, both here and there
_SETTLED_S = 60.0  # after which memory is looked at


def joined(folder: Path, samples: int) -> np.ndarray:
    """The sounds of a folder, one after the other [T], from the start again if there are not enough."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in io.ENDINGS)
    parts, count = [], 0
    while count < samples:
        for path in paths:
            parts.append(io.read(path))
            count += len(parts[-1])
            if count >= samples:
                break
    return np.concatenate(parts)[:samples]


def measure(folder: Path, name: str, minutes: float) -> dict[str, Any]:
    """Run, watch, compare."""
    original = joined(folder, round(60 * minutes * SAMPLE_RATE))
    with tempfile.TemporaryDirectory() as scratch:
        source, out = Path(scratch) / "in.wav", Path(scratch) / "out.wav"
        writer.write(source, original)
        command = [sys.executable, "-m", "sottovoce.cli", "live", name, "--simulate", str(source), "--out", str(out)]
        began = time.monotonic()
        command += ["--headless", "--memory", str(_MEMORY)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        memory = []
        while process.poll() is None:
            time.sleep(_STEP_S)
            resident = [_resident_mb(pid) for pid in (process.pid, *_children(process.pid))]
            memory.append((time.monotonic() - began, sum(resident), max(resident, default=0.0)))
        assert process.stderr is not None
        said = json.loads(process.stderr.read().strip().splitlines()[-1])
        played, _ = soundfile.read(out, dtype="float32")
        original = io.read(source)
    expected = Filter.load(bundled.find(name)).forgetting(_MEMORY).stream()
    drawn = np.concatenate([expected.feed(original), expected.flush()])
    times, both, largest = np.array([row for row in memory if row[0] > _SETTLED_S and row[1] > 0][:-1]).T
    return {
        "report": said,
        "memory_mb": {
            "tool and worker": round(float(np.median(both)), 1),
            "the larger": round(float(np.median(largest)), 1),
            "slope, MB per hour": round(float(np.polyfit(times / 3600.0, both, 1)[0]), 2),
        },
        "minutes": [
            _minute(played, drawn, round(said["latency_ms"] * SAMPLE_RATE / 1000), i) for i in range(round(minutes))
        ],
    }


def _minute(played: np.ndarray, drawn: np.ndarray, delay: int, number: int) -> dict[str, float]:
    """How much of a minute was given, and how much of that is what the stream draws, `delay` samples later."""
    begin = number * 60 * SAMPLE_RATE
    given = played[begin + delay : begin + delay + 60 * SAMPLE_RATE]
    expected = drawn[begin : begin + len(given)]
    given = given[: len(expected)]
    same = np.abs(given - expected) <= 2.0**-15
    return {"samples": len(given), "equal": round(float(same.mean()), 5)}


def _resident_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=Path, required=True)
    parser.add_argument("--filter", default="digit")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.sounds, arguments.filter, arguments.minutes)
    print(json.dumps(result, indent=None if arguments.json else 1))
