"""Independent calls in parallel: in processes of this machine, or on the workers of a cluster that joblib was given.

The one seam of audits, experiments and what prepares them. Each call has one thread and a process to itself, so that
its result does not depend on how many others run, or where.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

from sottovoce import cluster
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.speaker_encoder import one_thread

# joblib says so whenever a process that had nothing to do for a while is started again.
warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given to the executor")

_TURN = threading.RLock()  # settings of threads and random numbers belong to a whole process


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count` of all jobs: those whose digest, divided by `count`, leaves `number` - 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def has(self, digest: str) -> bool:
        """Whether a job with this digest, in hex, belongs to the shard."""
        return int(digest, 16) % self.count == self.number - 1


def shard(text: str | None) -> Shard | None:
    """The shard "I/N"; ConfigError for what is none."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(f"--shard is {text[:40]!r}; expected I/N with I from 1 to N, at most 999999, such as 1/4.")
    return Shard(int(match[1]), int(match[2]))


def unordered(
    function: Callable[..., Any],
    arguments: Callable[[int], tuple[Any, ...]],
    order: Sequence[int],
    workers: int,
    inputs: Callable[[int], Sequence[Path]] = lambda i: (),
) -> Iterator[tuple[int, Any]]:
    """i and `function(*arguments(i))` for every i of `order`, as the calls end.

    There are `workers` processes, unless the caller has chosen a backend of joblib, which has a width of its own.
    `inputs` are folders that a call reads, which are sent to workers that have other disks. A call whose process is
    killed is repeated alone; `cluster.Killed` stands for its result where it is killed again.
    """
    call = partial(_alone, function)
    if (client := _client()) is not None:
        yield from cluster.calls(client, call, arguments, order, inputs)
    else:
        yield from _in_processes(call, arguments, order, effective_n_jobs(get_active_backend()[1] or workers))


def ordered(
    function: Callable[..., Any], arguments: Callable[[int], tuple[Any, ...]], count: int, workers: int
) -> list[Any]:
    """`function(*arguments(i))` for every i below `count`; ModelError where a call is killed again and again."""
    results = dict(unordered(function, arguments, range(count), workers))
    if any(isinstance(result, cluster.Killed) for result in results.values()):
        raise ModelError(
            f"{cluster.Killed.REASON} while observations were prepared; use a machine with more memory, and repeat the "
            "command: it resumes."
        )
    return [results[i] for i in range(count)]


def discard_copies(folders: Sequence[Path]) -> None:
    """Delete the copies of `folders` that the workers of the cluster in use have received."""
    if client := _client():
        cluster.discard_copies(client, folders)


@contextmanager
def no_copies_stay(place: Path) -> Iterator[None]:
    """However the block ends, the workers of a cluster then delete their copies of the folders in `place`."""
    try:
        yield
    finally:
        discard_copies([*place.iterdir()] if place.is_dir() else [])


def check_shared(folders: Sequence[Path]) -> bool:
    """Whether a cluster is in use; ConfigError where one of its workers does not see `folders`."""
    if client := _client():
        cluster.check_shared(client, folders)
    return client is not None


def _client() -> Any:
    """The client of the cluster that joblib was given; None where there is none."""
    return getattr(get_active_backend()[0], "client", None)  # that of Dask has one


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a call on one thread, with no other call in this process; what it calls runs here, too."""
    with _TURN, one_thread(), threadpool_limits(1), parallel_config("sequential"):
        return function(*arguments)


def _in_processes(
    call: Callable[..., Any], arguments: Callable[[int], tuple[Any, ...]], order: Sequence[int], width: int
) -> Iterator[tuple[int, Any]]:
    """Those of `order` on this machine; where a process is killed, each call that may have been in it runs alone."""

    def results(some: Sequence[int], at_once: int) -> Iterator[tuple[int, Any]]:
        work = (delayed(_numbered)(i, call, arguments(i)) for i in some)
        return Parallel(n_jobs=at_once, return_as="generator_unordered", batch_size=1)(work)  # type: ignore[no-any-return]

    at_once = max(1, min(width, len(order)))
    left, suspects = [*order], list[int]()
    while left:
        try:
            for i, result in results([*left], at_once):
                left.remove(i)
                yield i, result
        except BrokenProcessPool:
            suspects += left[:at_once]
            del left[:at_once]
    for i in suspects:
        try:
            yield from results([i], 2)  # joblib would run it in this process if there were only one
        except BrokenProcessPool:
            yield i, cluster.Killed()


def _numbered(i: int, call: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[int, Any]:
    return i, call(*arguments)
