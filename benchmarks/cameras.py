"""What `sottovoce cameras` costs for many cameras at once, and whether all of their sound comes in time.

    python benchmarks/cameras.py [--filter FILTER] [--cameras 8] [--seconds 60] [--json]

Each camera is a file of noise, which ffmpeg reads in real time; each output is a WAV file. CPU time is that of the
command itself and of its filter process, and apart from it that of the ffmpeg processes. The first ten seconds, in
which programs start, do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16000
START_S = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def processes(root: int) -> dict[int, tuple[str, float, float]]:
    """Name, CPU seconds and resident MB of a process and of all below it."""
    rows = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = place.read_text().partition("(")[2].rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        fields = rest.split()
        rows[int(place.parent.name)] = (name, int(fields[1]), fields)
    below = {root}
    while more := {pid for pid, (_, parent, _) in rows.items() if parent in below} - below:
        below |= more
    page = os.sysconf("SC_PAGE_SIZE") / 2**20
    return {
        pid: (rows[pid][0], (int(rows[pid][2][11]) + int(rows[pid][2][12])) / TICKS, int(rows[pid][2][21]) * page)
        for pid in below & {*rows}
    }


def measure(filter_: str, cameras: int, seconds: float) -> dict[str, Any]:
    """Run, and read what the processes used."""
    with tempfile.TemporaryDirectory() as folder:
        rng, table = np.random.default_rng(0), []
        for number in range(cameras):
            noise = 0.2 * rng.standard_normal(round((seconds + 30) * RATE))
            soundfile.write(Path(folder) / f"{number}.wav", noise, RATE, "PCM_16")
            table.append(f'[camera-{number}]\nfrom = "{number}.wav"\noptions = "-re"\nto = "out-{number}.wav"\n')
        (Path(folder) / "cameras.toml").write_text("\n".join(table))
        command = [sys.executable, "-m", "sottovoce.cli", "cameras", filter_, "cameras.toml"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as running:
            time.sleep(START_S)
            before, began = processes(running.pid), time.monotonic()
            time.sleep(seconds)
            after, passed = processes(running.pid), time.monotonic() - began
            running.terminate()
            report = json.loads(running.communicate(timeout=30)[1].splitlines()[-1])
    used = {True: 0.0, False: 0.0}
    memory = 0.0
    for pid, (name, cpu_s, megabytes) in after.items():
        used[name == "ffmpeg"] += cpu_s - before.get(pid, ("", 0.0, 0.0))[1]
        memory += 0.0 if name == "ffmpeg" else megabytes
    lost = ("dropped_slow", "dropped_burst", "dropped_output")
    return {
        "cameras": cameras,
        "cores": os.cpu_count(),
        "cpu_s_per_s": round(used[False] / passed, 4),
        "real_time_factor": round(used[False] / passed / cameras, 5),
        "ffmpeg_cpu_s_per_s": round(used[True] / passed, 4),
        "resident_mb": round(memory),
        "lost_s": round(sum(camera[key] for camera in report.values() for key in lost) / RATE, 3),
        "restarts": max(camera["restarts"] for camera in report.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", default="digit")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    result = measure(given.filter, given.cameras, given.seconds)
    print(json.dumps(result) if given.json else "\n".join(f"{key:20} {value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
