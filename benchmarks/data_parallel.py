"""The losses of the same training on one process and on two, step by step.

    python benchmarks/data_parallel.py --corpora ../shared/corpora --steps 60 --out results/data-parallel.json

A target, the opt-in game and RDAL are trained from the same seed. Only the processes differ: each of two computes on
half of every batch. Prints, for each training, the largest and the last difference of the loss.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sottovoce import __version__
from sottovoce.jobs.train import TrainConfig, make_filter, make_target
from sottovoce.progress import silent
from sottovoce.training import distributed
from sottovoce.training.device import about

TRAININGS = ("target", "optin", "rdal")
_LOSS = re.compile(r"-?[0-9]+\.?[0-9]*(?:e-?[0-9]+)?")


def losses_of(training: str, corpora: Path, steps: int, folder: Path) -> list[float]:
    """The first number that each step reports, which is the loss of the target or of the event."""
    told: list[tuple[int, str]] = []

    def report(done: int, total: int, note: str) -> None:
        if total == steps and _LOSS.search(note):
            told.append((done, note))

    values = {"steps": steps}
    if training == "target":
        make_target(f"ravdess:{corpora / 'ravdess'}", "emotion", folder / "out", "compact", None, 0, "", report, values)
    else:
        target = folder.parent / f"target-{training}"
        spec, permit = _material(training, corpora)
        make_filter(TrainConfig(spec, (permit,), (target,), folder / "out", training, "compact", values), report)
    return [float(_LOSS.search(note)[0]) for _, note in told]  # type: ignore[index]


def _material(training: str, corpora: Path) -> tuple[str, str]:
    return (f"ravdess:{corpora / 'ravdess'}", "emotion") if training == "optin" else (f"mixtures:{corpora}", "event")


def launched(training: str, corpora: Path, steps: int, folder: Path, processes: int) -> list[float]:
    """The losses of a training on so many processes."""
    place = folder / f"{training}-{processes}"
    place.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    words = [__file__, "--corpora", str(corpora), "--steps", str(steps), "--training", training, "--out", str(place)]
    subprocess.run([*command, *words], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return json.loads((place / "losses.json").read_text())  # type: ignore[no-any-return]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--corpora", type=Path, required=True)
    options.add_argument("--steps", type=int, default=60)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--training", choices=TRAININGS, help=argparse.SUPPRESS)  # what one process does
    given = options.parse_args()
    corpora = given.corpora.resolve()
    if given.training:
        found = losses_of(given.training, corpora, given.steps, given.out)
        if distributed.rank() == 0:
            (given.out / "losses.json").write_text(json.dumps(found))
        return
    record: dict[str, Any] = {"steps": given.steps, "sottovoce": __version__, **about(), "losses": {}}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for training in ("optin", "rdal"):  # the targets of both
            spec, permit = _material(training, corpora)
            make_target(spec, permit, folder / f"target-{training}", "compact", None, 0, "", silent, {"steps": 100})
        for training in TRAININGS:
            one, two = (launched(training, corpora, given.steps, folder, count) for count in (1, 2))
            record["losses"][training] = {"one process": one, "two processes": two}
            apart = [abs(a - b) for a, b in zip(one, two, strict=True)]
            print(
                f"{training}: {len(one)} losses, {one[0]:.3f} to {one[-1]:.3f}; two processes differ by at most "
                f"{max(apart):.4f}, at the end by {apart[-1]:.4f}"
            )
    given.out.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
