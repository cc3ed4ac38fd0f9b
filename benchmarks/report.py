"""Writes BENCHMARKS.md: ratios first, then every figure, and on which machine.

    python benchmarks/report.py [--corpora PATH] [--minutes 60] [--out BENCHMARKS.md]

Without LibriSpeech in the folder of the corpora, the ways from magnitudes to sound are left out.
"""

from __future__ import annotations

import speed  # first: it says how many threads there may be

# isort: split
import argparse
import datetime
import os
import platform
from pathlib import Path
from typing import Any

import decoding
import streaming

FILE_MODE = "codebook filter, to sound"
PAPER = "paper's obfuscator, eager torch"


def machine() -> str:
    """The processor by its name, how many of it, and the system."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    load = os.getloadavg()[0]
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; load {load:.1f} when it began"


def ratios(stages: dict[str, Any], running: dict[str, Any]) -> str:
    """What does not depend on the machine so much."""
    times, cost = stages["times_real_time"], stages["cost"]
    streams = running["streams"]
    lines = ["| what | ratio | from |", "|---|---|---|"]
    ours, paper = 1000 / times[FILE_MODE], 1000 / times[PAPER]
    lines.append(
        f"| a file through a codebook filter, all included, beside the paper's obfuscator alone in eager torch "
        f"| {paper / ours:.0f} × faster | {ours:.2f} and {paper:.1f} ms per second of sound |"
    )
    for name in ("codebook's encoder (10 classes)", "compact obfuscator"):
        macs, most = cost[name]["macs_per_s"], cost["paper's obfuscator"]["macs_per_s"]
        lines.append(
            f"| {name}, beside the paper's obfuscator | {most / macs:.0f} × fewer MACs "
            f"| {macs / 1e6:.0f} and {most / 1e6:.0f} million per second of sound |"
        )
    for name, title in {"rnnoise": "RNNoise", "silero": "silero-vad"}.items():
        if name in streams:
            one, other = streams["digit (codebook)"]["ms_per_s"], streams[name]["ms_per_s"]
            lines.append(
                f"| a stream by 10 ms, beside {title} | {other / one:.1f} × | {one:.2f} and {other:.2f} ms per s |"
            )
    return "\n".join(lines)


def write(corpora: Path, minutes: float, out: Path) -> None:
    """Measure everything, and write the page."""
    where = machine()
    running = streaming.measure(minutes)
    stages = speed.measure(None)
    parts = [
        "# Benchmarks",
        f"Written by `make bench` on {datetime.date.today()}: {where}; "
        + ", ".join(f"{name} {version}" for name, version in stages["machine"].items() if name != "processor")
        + ". One thread everywhere. Other work beside it changes the figures more than the ratios.",
        "## Ratios",
        ratios(stages, running),
        "## Running",
        streaming.table(running),
        "## Stages",
        f"```\n{speed.table(stages)}\n```",
    ]
    if (corpora / "librispeech").is_dir():
        parts += ["## From magnitudes to sound", decoding.table(decoding.measure(corpora, {}, None))]
    out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=Path("../shared/corpora"), help="folder that holds librispeech")
    parser.add_argument("--minutes", type=float, default=60.0, help="of sound that each stream is fed")
    parser.add_argument("--out", type=Path, default=Path("BENCHMARKS.md"), help="page to write")
    given = parser.parse_args()
    write(given.corpora, given.minutes, given.out)
