"""What attackers cost: seconds and memory of each family on a quarter, a half and all of the training recordings.

    python benchmarks/attackers.py --corpus ravdess:PATH [--task speaker]

Each is fitted on originals, on one thread, in a process of its own, and scores the test recordings. Needs Linux.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from sottovoce.attack.families import ATTACKERS
from sottovoce.audit.budgets import EFFORTS, Effort
from sottovoce.audit.case import PARTS, Case
from sottovoce.audit.gathering import observe_original
from sottovoce.audit.plan import AttackRun, has_sound
from sottovoce.corpora.corpus import opened
from sottovoce.corpora.splits import split

SHARES = (0.25, 0.5, 1.0)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--task", default="speaker")
    asked = parser.parse_args()
    manifest, sounds = opened(asked.corpus, lambda done, total, note: None)
    case = Case(manifest, sounds, split(manifest))
    effort: Effort = EFFORTS["standard"]
    labels = {part: case.labels(asked.task, part) for part in PARTS}
    counts = [round(share * len(labels["train"])) for share in SHARES]
    print(f"{manifest.name} {manifest.digest[:16]}, {asked.task}, training recordings: {counts}; seconds (MB at most)")
    print("| attacker | " + " | ".join(map(str, counts)) + " | 4x / 1x |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        view = observe_original(case, effort, 0, Path(place), 2)
        for family in sorted(ATTACKERS, key=lambda name: ATTACKERS[name].cost):
            if ATTACKERS[family].needs_answers or not has_sound(family, view):
                continue
            cycles = (
                EFFORTS["thorough"].cycles.get(family, 0) if family == "fine-tuned" else effort.cycles.get(family, 0)
            )
            attack_runs = [
                AttackRun(family, asked.task, labels, len(case.classes(asked.task)), view, (view,), cycles, share=share)
                for share in SHARES
            ]
            cells = [_measured(attack_run) for attack_run in attack_runs]
            ratio = cells[-1][0] / cells[0][0]
            print(
                f"| {family} | " + " | ".join(f"{s:.1f} ({mb:.0f})" for s, mb in cells) + f" | {ratio:.1f} |",
                flush=True,
            )


def _measured(attack_run: AttackRun) -> tuple[float, float]:
    """Seconds and the most memory in MB, in a fresh process."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_timed, args=(attack_run, there))
    process.start()
    found: tuple[float, float] = here.recv()
    process.join()
    return found


def _timed(attack_run: AttackRun, answer: Connection) -> None:
    torch.set_num_threads(1)
    began = time.monotonic()
    attack_run.run()
    answer.send((time.monotonic() - began, _most_mb()))


def _most_mb() -> float:
    """The most memory in MB that this program had; getrusage would count that of the one that started it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
