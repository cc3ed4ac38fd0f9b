"""Long work, side by side in processes of one thread; what came of it is kept by digest, so none is done twice.

A killed audit resumes where it was, and a second audit with the same attackers finds their scores. Scores decide a
verdict, so that what is kept carries a seal: nobody can make one without the key that the cache keeps for its owner.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from sottovoce import private
from sottovoce.arrays import read_arrays
from sottovoce.corpora.store import cache_folder
from sottovoce.errors import ModelError
from sottovoce.files import read_json
from sottovoce.progress import Report

_FACTS, _SEAL = "facts", "seal"
_LARGEST_BYTES = 1 << 30  # of what came of one job


@dataclass(frozen=True, eq=False)
class JobResult:
    """What came of a job: facts in words and numbers, and arrays by name; `error` says why there are none."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    error: str = ""


class Job(Protocol):
    """Work of which all that it depends on is in its digest."""

    @property
    def digest(self) -> str:
        """SHA-256 in hex."""
        ...

    @property
    def title(self) -> str:
        """What it is, in words."""
        ...

    @property
    def cost(self) -> int:
        """Greater for what takes longer, which is begun first."""
        ...

    def run(self) -> JobResult:
        """Do it."""
        ...


def attacks_folder() -> Path:
    """Where outcomes are kept; CorpusError where others may write there, whatever is asked for."""
    folder = private.private_folder(cache_folder() / "attacks")
    private.check_private(folder)
    return folder


def run_jobs(jobs: Sequence[Job], workers: int, report: Report, fresh: bool = False) -> list[JobResult]:
    """What came of every job, in their order; one that breaks down is an error, and the others go on.

    `fresh` jobs are all run, whatever is kept of them, and nothing of them is kept.
    """
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].cost)
    results: dict[int, JobResult] = {}
    at_once, key = min(workers, max(1, len(jobs))), private.secret(cache_folder())
    place = None if fresh else attacks_folder()
    running = Parallel(n_jobs=at_once, return_as="generator_unordered", batch_size=1)(
        delayed(_numbered)(i, jobs[i], place, key, at_once) for i in order
    )
    try:
        for count, (i, result) in enumerate(running, start=1):
            results[i] = result
            report(count, len(jobs), jobs[i].title)
    except BrokenProcessPool as error:
        raise ModelError(
            "an attacker's process was killed, most likely for want of memory; repeat the command with fewer "
            "--workers, and it resumes."
        ) from error
    return [results[i] for i in range(len(jobs))]


def _numbered(i: int, job: Job, place: Path | None, key: bytes, at_once: int) -> tuple[int, JobResult]:
    kept = place and place / f"{job.digest}.npz"
    known = _read(kept, job.digest, key) if kept else None
    if known is not None:
        return i, known
    if at_once > 1:
        torch.set_num_threads(1)
    began = time.monotonic()
    try:
        result = job.run()
        if not all(np.isfinite(array).all() for array in result.arrays.values() if array.dtype.kind == "f"):
            raise FloatingPointError("its scores are not finite numbers")
    except Exception as error:  # whatever it is, the other jobs go on and the report says so
        return i, JobResult({}, {}, f"{type(error).__name__}: {error}")
    result = replace(result, facts={**result.facts, "seconds": round(time.monotonic() - began, 2)})
    if kept is not None:
        _write(kept, result, job.digest, key)
    return i, result


def _write(place: Path, result: JobResult, digest: str, key: bytes) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(array) for name, array in result.arrays.items()}
    facts = json.dumps(dict(result.facts))
    sealed = {_FACTS: np.array(facts), _SEAL: np.array(_seal(key, digest, facts, arrays))}
    np.savez_compressed(buffer, **arrays, **sealed)  # type: ignore[arg-type]
    private.write_private(place, buffer.getvalue())


def _read(place: Path, digest: str, key: bytes) -> JobResult | None:
    """What was kept; None where nothing was, or what was is damaged or has no right seal, so that it is done again."""
    content = private.read_private(place)
    if content is None:
        return None
    try:
        arrays = read_arrays(content, _LARGEST_BYTES)
        facts, seal = str(arrays.pop(_FACTS)), str(arrays.pop(_SEAL))
        if hmac.compare_digest(seal, _seal(key, digest, facts, arrays)):
            return JobResult(read_json(facts), arrays)
    except Exception:  # whatever is wrong with it, it can be done again
        pass
    return None


def _seal(key: bytes, digest: str, facts: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """What binds an outcome to its job, in hex: HMAC-SHA256 over the job's digest and all that was kept."""
    described = [[name, array.dtype.str, array.shape] for name, array in sorted(arrays.items())]
    seal = hmac.new(key, json.dumps([digest, facts, described]).encode(), hashlib.sha256)
    for _, array in sorted(arrays.items()):
        seal.update(array.tobytes())
    return seal.hexdigest()
