"""Long work, side by side in processes of one thread; what came of it is kept by digest, so none is done twice.

A killed audit goes on where it was, and a second audit with the same attackers finds their scores.
"""

from __future__ import annotations

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

from sottovoce.arrays import read_arrays
from sottovoce.corpora.cache import cache_folder
from sottovoce.errors import ModelError
from sottovoce.files import read_json
from sottovoce.models.checkpoint import write_file
from sottovoce.progress import Report

_LARGEST_BYTES = 1 << 30  # of what came of one job


@dataclass(frozen=True, eq=False)
class Found:
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

    def run(self) -> Found:
        """Do it."""
        ...


def done(jobs: Sequence[Job], workers: int, report: Report) -> list[Found]:
    """What came of every job, in their order; one that breaks down is an error, and the others go on."""
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].cost)
    found: dict[int, Found] = {}
    at_once, place = min(workers, max(1, len(jobs))), cache_folder() / "attacks"
    running = Parallel(n_jobs=at_once, return_as="generator_unordered", batch_size=1)(
        delayed(_numbered)(i, jobs[i], place, at_once) for i in order
    )
    try:
        for count, (i, outcome) in enumerate(running, start=1):
            found[i] = outcome
            report(count, len(jobs), jobs[i].title)
    except BrokenProcessPool as error:
        raise ModelError(
            "an attacker's process was killed, most likely for want of memory; repeat the command with fewer --workers "
            "and it goes on where it was."
        ) from error
    return [found[i] for i in range(len(jobs))]


def _numbered(i: int, job: Job, place: Path, at_once: int) -> tuple[int, Found]:
    kept = place / f"{job.digest}.npz"
    known = _read(kept)
    if known is not None:
        return i, known
    if at_once > 1:
        torch.set_num_threads(1)
    began = time.monotonic()
    try:
        found = job.run()
        if not all(np.isfinite(array).all() for array in found.arrays.values() if array.dtype.kind == "f"):
            raise FloatingPointError("its scores are not finite numbers")
    except Exception as error:  # whatever it is, the other jobs go on and the report says so
        return i, Found({}, {}, f"{type(error).__name__}: {error}")
    found = replace(found, facts={**found.facts, "seconds": round(time.monotonic() - began, 2)})
    _write(kept, found)
    return i, found


def _write(place: Path, found: Found) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(array) for name, array in found.arrays.items()}
    np.savez_compressed(buffer, facts=np.array(json.dumps(dict(found.facts))), **arrays)
    write_file(place, buffer.getvalue())


def _read(place: Path) -> Found | None:
    """What was kept; None where nothing was, or what was is damaged."""
    if not place.is_file():
        return None
    try:
        arrays = read_arrays(place, _LARGEST_BYTES)
        return Found(read_json(str(arrays.pop("facts"))), arrays)
    except Exception:  # whatever is wrong with it, it can be made again
        return None
