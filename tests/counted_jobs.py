"""Jobs and runs for tests of clusters, in a module that workers can import: each adds its number to a log."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sottovoce.audit.cached_jobs import JobResult
from sottovoce.audit.observations import identity
from sottovoce.corpora.store import on_this_machine
from sottovoce.experiments.experiment import Experiment, Place, RunSettings, Table


@dataclass(frozen=True)
class Counted:
    """Adds what it reads; kills its process the first `kills` times."""

    number: int
    log: Path
    inputs: tuple[Path, ...] = ()
    kills: int = 0
    seconds: float = 0.0
    cost: int = 0

    @property
    def digest(self) -> str:
        return identity("counted", self.number)

    @property
    def title(self) -> str:
        return f"count {self.number}"

    def run(self) -> JobResult:
        with self.log.open("a") as log:
            log.write(f"{self.number} ")
        if self.log.read_text().split().count(str(self.number)) <= self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        read = [np.load(on_this_machine(folder) / "part" / "x.npy").sum() for folder in self.inputs]
        facts = {"pid": os.getpid(), "threads": torch.get_num_threads()}
        return JobResult(facts, {"sum": np.array([self.number, *read], np.float64)})


@dataclass(frozen=True)
class CountedRun(RunSettings):
    """A run of an experiment."""

    number: int = 0


def performed(run: CountedRun, place: Place) -> dict[str, Any]:
    """Adds the number of a run to a log beside the corpora."""
    with (place.corpora / "runs").open("a") as log:
        log.write(f"{run.number} ")
    return {"pid": os.getpid()}


def experiment(count: int) -> Experiment:
    """An experiment of so many runs, each of a seed of its own."""
    runs = tuple(CountedRun(number=number, seed=number) for number in range(count))
    table = Table([("run", lambda result: str(result["settings"]["number"]))])
    return Experiment("counted", "Which runs are done?", "nothing", {"compact": runs}, performed, table)
