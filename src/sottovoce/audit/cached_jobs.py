"""Long work in parallel, wherever it runs; its results are kept by digest, so that no job is done twice.

A killed audit resumes where it was, and a second audit with the same attackers finds their scores. Scores decide a
verdict, so that what is kept carries a seal: nobody can make one without the key that the cache keeps for its owner.
Workers only compute: whoever runs the jobs reads and writes their results, and the key stays there.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sottovoce import private
from sottovoce.arrays import read_arrays
from sottovoce.cluster import Killed
from sottovoce.corpora.store import cache_folder
from sottovoce.files import read_json
from sottovoce.parallel import Shard, unordered
from sottovoce.progress import Report

_FACTS, _SEAL, _SEALED_BY = "facts", "seal", "sealed_by"
_LARGEST_BYTES = 1 << 30  # of what came of one job


@dataclass(frozen=True, eq=False)
class JobResult:
    """What came of a job: facts in words and numbers, and arrays by name; `error` says why there are none."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    error: str = ""


_OTHER_KEY = JobResult({}, {}, "sealed with the key of another cache")


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

    @property
    def inputs(self) -> Sequence[Path]:
        """The folders that it reads."""
        ...

    def run(self) -> JobResult:
        """Do it."""
        ...


def attacks_folder() -> Path:
    """Where outcomes are kept; CorpusError where others may write there, or nobody may."""
    folder = private.private_folder(cache_folder() / "attacks")
    private.check_private(folder)
    if not os.access(folder, os.W_OK):  # before hours of work
        raise private.unwritable(folder, OSError(errno.EROFS, os.strerror(errno.EROFS)))
    return folder


def run_jobs(
    jobs: Sequence[Job], workers: int, report: Report, fresh: bool = False, shard: Shard | None = None
) -> list[JobResult]:
    """What came of every job, in their order; one that breaks down is an error, and the others go on.

    `fresh` jobs are all run, whatever is kept of them, and nothing of them is kept. With a `shard` those that belong to
    it are run, and no others have a result.
    """
    jobs = [job for job in jobs if shard is None or shard.has(job.digest)]
    place, key = None if fresh else attacks_folder(), private.secret(cache_folder())
    results = _all_kept(jobs, place, key, report) if place else {}
    left = [i for i in sorted(range(len(jobs)), key=lambda i: -jobs[i].cost) if i not in results]
    if results:
        report(len(results), len(jobs), "taken from the cache")
    for i, result in unordered(_performed, lambda i: (jobs[i],), left, workers, lambda i: jobs[i].inputs):
        if isinstance(result, Killed):
            result = JobResult({}, {}, result.REASON)
        elif place and not result.error:
            _write(place / f"{jobs[i].digest}.npz", result, jobs[i].digest, key)
        results[i] = result
        report(len(results), len(jobs), jobs[i].title)
    return [results[i] for i in range(len(jobs))]


def _performed(job: Job) -> JobResult:
    """What comes of a job, wherever it runs."""
    began = time.monotonic()
    try:
        result = job.run()
        if not all(np.isfinite(array).all() for array in result.arrays.values() if array.dtype.kind == "f"):
            raise FloatingPointError("its scores are not finite numbers")
    except Exception as error:  # whatever it is, the other jobs go on and the report says so
        return JobResult({}, {}, f"{type(error).__name__}: {error}")
    return replace(result, facts={**result.facts, "seconds": round(time.monotonic() - began, 2)})


def _all_kept(jobs: Sequence[Job], place: Path, key: bytes, report: Report) -> dict[int, JobResult]:
    """What was kept of jobs, by their positions; a sentence says how many have the seal of another cache."""
    found = {i: _read(place / f"{job.digest}.npz", job.digest, key) for i, job in enumerate(jobs)}
    if others := sum(result is _OTHER_KEY for result in found.values()):
        report(
            0,
            0,
            f"{others} of {len(jobs)} results in {place} were sealed with the key of another cache, cannot be trusted "
            f"and are computed again; to share results, copy the file {cache_folder() / private.KEY} of one cache to "
            "all others before they are used",
        )
    return {i: result for i, result in found.items() if result is not None and result is not _OTHER_KEY}


def _write(place: Path, result: JobResult, digest: str, key: bytes) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(array) for name, array in result.arrays.items()}
    facts = json.dumps(dict(result.facts))
    sealed = {_FACTS: facts, _SEAL: _seal(key, digest, facts, arrays), _SEALED_BY: _name(key)}
    np.savez_compressed(buffer, **arrays | {name: np.array(text) for name, text in sealed.items()})
    private.write_private(place, buffer.getvalue())


def _read(place: Path, digest: str, key: bytes) -> JobResult | None:
    """What was kept; None where nothing was, or what was is damaged or has no right seal, so that it is done again."""
    content = private.read_private(place)
    if content is None:
        return None
    try:
        arrays = read_arrays(content, _LARGEST_BYTES)
        facts, seal = str(arrays.pop(_FACTS)), str(arrays.pop(_SEAL))
        sealed_by = str(arrays.pop(_SEALED_BY, _name(key)))  # which earlier versions did not write
        if hmac.compare_digest(seal, _seal(key, digest, facts, arrays)):
            return JobResult(read_json(facts), arrays)
        return None if sealed_by == _name(key) else _OTHER_KEY
    except Exception:  # whatever is wrong with it, it can be done again
        pass
    return None


def _name(key: bytes) -> str:
    """What a key is known by to whoever lacks it."""
    return hmac.new(key, b"name", hashlib.sha256).hexdigest()[:16]


def _seal(key: bytes, digest: str, facts: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """What binds an outcome to its job, in hex: HMAC-SHA256 over the job's digest and all that was kept."""
    described = [[name, array.dtype.str, array.shape] for name, array in sorted(arrays.items())]
    seal = hmac.new(key, json.dumps([digest, facts, described]).encode(), hashlib.sha256)
    for _, array in sorted(arrays.items()):
        seal.update(array.tobytes())
    return seal.hexdigest()
