"""One audit on one machine, on a Dask cluster and in shards: equal results, what that costs, and what a fault costs.

    python benchmarks/cluster.py --corpus fsdd:../shared/corpora/fsdd --clips 120 --out results/cluster.json

The machine may be busy with other work, so that the time of processors is given beside that of the clock. The speed-up
of more workers is simulated from the measured times of all jobs.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sottovoce import __version__, redaction
from sottovoce.corpora.catalogue import open_corpus

FOUND = ("private", "permitted", "controls", "linkage", "continuous", "words", "scores", "valid")
WORKERS = (1, 2, 4, 16, 64)


def simulated(seconds: Sequence[float], workers: int) -> float:
    """How long jobs take, in seconds, if each worker begins the next of them, the longest first, when it is free."""
    free = [0.0] * workers
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_seconds(each) for name, each in value.items() if name != "seconds"}
    return [*map(without_seconds, value)] if isinstance(value, list) else value


class Trial:
    """Audits of one system on one corpus, each with what it is told."""

    def __init__(self, folder: Path, system: str, corpus: str, more: Sequence[str]) -> None:
        self.folder, self.words = folder, ["audit", system, "--corpus", corpus, *more, "--names"]

    def environment(self, cache: str) -> dict[str, str]:
        place = self.folder / cache
        place.mkdir(mode=0o700, exist_ok=True)
        return os.environ | {"SOTTOVOCE_CACHE": str(place)}

    def start(self, cache: str, *words: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "sottovoce.cli",
            *self.words,
            "--out",
            str(self.folder / f"out-{cache}"),
            *words,
        ]
        return subprocess.Popen(command, env=self.environment(cache), stdout=subprocess.DEVNULL)

    def audit(self, cache: str, *words: str) -> None:
        if (status := self.start(cache, *words).wait()) not in (0, 1):  # 1: the finding is bad, as of few recordings
            raise SystemExit(f"{words} ended with status {status}")

    def found(self, cache: str) -> Any:
        results = json.loads((self.folder / f"out-{cache}" / "results.json").read_text())
        return without_seconds({name: results.get(name) for name in FOUND})

    def outcomes(self, cache: str) -> list[Path]:
        return sorted((self.folder / cache / "attacks").glob("*.npz"))


class Cluster:
    """A scheduler and two workers, all on this machine."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        self.workers = [self.worker(), self.worker()]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
        log = (self.trial.folder / "dask.log").open("ab")
        environment = self.trial.environment("workers") | {"OMP_NUM_THREADS": "1"}
        environment["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "False"  # it samples a hundred times a second
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def worker(self) -> subprocess.Popen[bytes]:
        place = str(self.trial.folder / "dask-scratch")
        return self._start(
            "worker", self.address, "--nthreads", "1", "--host", "127.0.0.1", "--no-nanny", "--local-directory", place
        )

    def restart(self) -> None:
        end(self.scheduler, signal.SIGKILL)
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        self.workers += [self.worker(), self.worker()]  # the others end with their scheduler

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            end(process, signal.SIGTERM)


def end(process: subprocess.Popen[bytes], how: int) -> None:
    """End a process that this script started, and those that it started."""
    if process.poll() is None:
        os.killpg(process.pid, how)
        process.wait()


@contextmanager
def timed(record: dict[str, Any], name: str, out: Path) -> Iterator[None]:
    """Notes how long the programs within took, by the clock and on processors, and writes the record so far."""

    def now() -> tuple[float, float]:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.monotonic(), used.ru_utime + used.ru_stime

    before = now()
    yield
    clock, processors = (after - start for after, start in zip(now(), before, strict=True))
    times = record["times"][name] = {"clock_seconds": round(clock, 1), "processor_seconds": round(processors, 1)}
    print(name, times, flush=True)
    write(record, out)


def write(record: dict[str, Any], out: Path) -> None:
    out.write_text(json.dumps(record, indent=1) + "\n")


def some(corpus: str, clips: int, folder: Path) -> str:
    """A corpus of some clips of another, evenly taken from each of its speakers."""
    manifest = open_corpus(corpus)
    names = sorted({clip.labels["speaker"] for clip in manifest.clips})
    rng = np.random.default_rng(0)
    chosen = []
    for name in names:
        own = [clip for clip in manifest.clips if clip.labels["speaker"] == name]
        chosen += [own[i] for i in sorted(rng.permutation(len(own))[: clips // len(names)])]
    for clip in chosen:
        shutil.copy(clip.path, folder)
    with (folder / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", *manifest.tasks])
        table.writerows([clip.path.name, *(clip.labels.get(task, "") for task in manifest.tasks)] for clip in chosen)
    return f"csv:{folder / 'clips.csv'}"


def interrupted(trial: Trial, cache: str, fault: str) -> None:
    """An audit on a cluster in which, once it has some results, a worker is killed or the scheduler restarted."""
    cluster = Cluster(trial)
    audit = trial.start(cache, "--cluster", cluster.address)
    while len(trial.outcomes(cache)) < 10 and audit.poll() is None:
        time.sleep(0.2)
    assert audit.poll() is None, "it was not interrupted"
    if fault == "worker":
        end(cluster.workers[0], signal.SIGKILL)
        cluster.workers.append(cluster.worker())
    else:
        cluster.restart()
    status = audit.wait()
    cluster.end()
    assert status in (0, 1), status


def speed(outcomes: Sequence[Path]) -> dict[str, Any]:
    """How long the jobs took, and how much faster more workers would do them."""
    seconds = []
    for path in outcomes:
        with np.load(path, allow_pickle=False) as outcome:
            seconds.append(json.loads(str(outcome["facts"]))["seconds"])
    alone, longest = sum(seconds), max(seconds)
    took = {str(workers): simulated(seconds, workers) for workers in WORKERS}
    return {
        "jobs": {"count": len(seconds), "seconds": round(alone, 1), "longest_seconds": longest},
        "simulated": {
            name: {"seconds": round(each, 1), "speed_up": round(alone / each, 2)} for name, each in took.items()
        },
        "largest_speed_up": round(alone / longest, 2),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--corpus", required=True)
    options.add_argument("--clips", type=int, default=120)
    options.add_argument("--system", default="command:cp {in} {out}")
    options.add_argument("--attackers", default="standard")
    options.add_argument("--attack", default="speaker")
    options.add_argument("--attacker", action="append", default=[], help="only these")
    options.add_argument("--out", type=Path, default=Path("results/cluster.json"))
    given = options.parse_args()
    record: dict[str, Any] = {
        "command": redaction.command(["benchmarks/cluster.py", *sys.argv[1:]]),
        "sottovoce": __version__,
    }
    record |= {"machine": {"cores": os.cpu_count(), "load_at_the_start": os.getloadavg()[0]}, "times": {}, "equal": {}}
    equal = record["equal"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        corpus = some(given.corpus, given.clips, folder)
        only = [word for name in given.attacker for word in ("--attacker", name)]
        trial = Trial(
            folder,
            given.system,
            corpus,
            ["--attackers", given.attackers, "--attack", given.attack, *only, "--split", "utterance"],
        )
        with timed(record, "loky, 2 workers", given.out):
            trial.audit("loky", "--workers", "2")
        expected = trial.found("loky")
        record |= speed(trial.outcomes("loky"))
        with timed(record, "Dask, 2 workers", given.out):
            cluster = Cluster(trial)
            trial.audit("dask", "--cluster", cluster.address)
            cluster.end()
        equal["Dask"] = trial.found("dask") == expected
        with timed(record, "4 shards one after another, then merged", given.out):
            for number in range(1, 5):
                trial.audit("shards", "--workers", "2", "--shard", f"{number}/4")
            trial.audit("shards", "--workers", "2")
        equal["shards"] = trial.found("shards") == expected
        lost = [path for path in trial.outcomes("shards") if int(path.stem, 16) % 4 == 1]
        kept = {path: path.stat().st_ino for path in trial.outcomes("shards") if path not in lost}
        for path in lost:
            path.unlink()
        shutil.rmtree(folder / "out-shards")
        with timed(record, "the merge, with the results of one shard lost", given.out):
            trial.audit("shards", "--workers", "2")
        equal["a shard lost"] = trial.found("shards") == expected
        equal["nothing else computed again"] = all(path.stat().st_ino == inode for path, inode in kept.items())
        for fault in ("worker", "scheduler"):
            with timed(record, f"Dask, with a {fault} killed in the middle", given.out):
                interrupted(trial, fault, fault)
            equal[f"a {fault} killed"] = trial.found(fault) == expected
    write(record, given.out)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
