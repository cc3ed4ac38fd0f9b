"""Calls on the workers of a Dask cluster, which may have other disks than the caller.

joblib's own Dask backend waits for ever once a call has killed its worker, so that calls are submitted here. Results
come back to the caller, who writes them. What a call reads is sent to a worker when that says that it lacks it, and is
kept in its cache. All connections of the caller go to the address of the scheduler.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import secrets
import tempfile
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from joblib import parallel_config

from sottovoce import __version__, cluster_worker, terminal
from sottovoce.cluster_worker import Answer
from sottovoce.errors import ConfigError, CorpusError

_ADDRESS = re.compile(r"(?:tcp|tls)://(?:\[[0-9a-fA-F:]+\]|[\w.-]+):[0-9]{1,5}")
_PIECE_BYTES = 1 << 23
_PATIENCE_S = 10.0  # between two looks at whether workers are there
_MOST_TRIES = 3  # to send a folder to a worker, and to run a call whose scheduler was restarted


@dataclass(frozen=True)
class Killed:
    """Stands for the result of a call that killed every process that it ran in."""

    REASON: ClassVar[str] = "every process that ran it was killed, most likely for want of memory"


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Within, calls in parallel run on the workers of the Dask scheduler at `address`, such as tcp://127.0.0.1:8786.

    Without an address they run here. ConfigError for what is no address, or where no scheduler answers.
    """
    if address is None:
        yield
        return
    if not _ADDRESS.fullmatch(address):
        raise ConfigError(f"--cluster is {address[:80]!r}; expected tcp://HOST:PORT or tls://HOST:PORT.")
    from distributed import Client

    if not re.match(r"tls:|tcp://(127\.|localhost:|\[::1\])", address):
        terminal.note(f"{address} is neither encrypted nor authenticated: use tls:// unless the network is your own.\n")
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is said in a sentence
    try:
        asyncio.run(_meet(address))
        with warnings.catch_warnings(action="ignore"):  # versions are compared here
            client = Client(address, set_as_default=False)
    except (OSError, ValueError) as error:  # of which TimeoutError is one
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({str(error)[:120] or 'time ran out'}); start one with "
            "`dask scheduler --no-dashboard`, or correct --cluster."
        ) from error
    with client, parallel_config("dask", client=client):
        yield


async def _meet(address: str) -> None:
    """Connect to a scheduler once; OSError where none answers in time. `Client` would wait for ever for another."""
    from dask import config
    from dask.utils import parse_timedelta
    from distributed.comm.core import connect
    from distributed.security import Security

    patience_s = parse_timedelta(config.get("distributed.comm.timeouts.connect"))
    meeting = connect(address, timeout=patience_s, **Security().get_connection_args("client"))
    await (await asyncio.wait_for(meeting, patience_s)).close()


def calls(
    client: Any,
    call: Callable[..., Any],
    arguments: Callable[[int], tuple[Any, ...]],
    order: Sequence[int],
    inputs: Callable[[int], Sequence[Path]],
) -> Iterator[tuple[int, Any]]:
    """i and `call(*arguments(i))` for every i of `order`, as they end; `Killed` where the call kills its workers.

    The scheduler gives a call to another worker when its own is killed, a few times. Any other call that waited there
    is then under suspicion, too, so that each such call is repeated while no other runs. ConfigError where a worker
    has other versions, cannot keep what it is sent, or lacks a package.
    """
    from distributed.scheduler import KilledWorker

    waiting, suspects, alone, sent = deque(order), deque[int](), set[int](), _Sent(client)
    running: dict[Any, int] = {}
    cancelled: Counter[int] = Counter()

    def submit(i: int) -> None:
        key = f"sottovoce-{secrets.token_hex(8)}"
        work = (cluster_worker.versions(), [*inputs(i)], call, arguments(i))
        try:
            running[client.submit(cluster_worker.answer, *work, key=key, pure=False)] = i
        except RuntimeError as error:  # the client is closed
            raise _lost(client) from error

    try:
        while waiting or suspects or running:
            while waiting and len(running) < 2 * max(1, _width(client)):
                submit(waiting.popleft())
            if not running:
                alone.add(suspects[0])
                submit(suspects.popleft())
            for future in _ended(client, running):
                i = running.pop(future)
                answer = _answered(future)
                if answer is not None:
                    if answer.lacks:
                        sent.to(answer)
                        waiting.appendleft(i)
                    else:
                        yield i, _result(answer)
                elif future.status != "error":  # the scheduler was restarted, and knows nothing of it
                    cancelled[i] += 1
                    if cancelled[i] > _MOST_TRIES:
                        raise ConfigError(f"{_address(client)} was restarted again and again; repeat the command.")
                    waiting.appendleft(i)
                elif not isinstance(error := future.exception(), KilledWorker):
                    raise ConfigError(
                        f"a worker of {_address(client)} cannot read what it is sent ({type(error).__name__}: "
                        f"{str(error)[:200]}); install sottovoce {__version__} and the same packages there as here."
                    ) from error
                elif i in alone:
                    yield i, Killed()
                else:
                    suspects.append(i)
    finally:
        with suppress(Exception):
            client.cancel([*running])


def discard_copies(client: Any, folders: Sequence[Path]) -> None:
    """Delete the copies of `folders` on all workers."""
    with suppress(OSError, CancelledError, RuntimeError):  # a cluster that is gone is no reason to lose a result
        client.run(cluster_worker.discard, [folder.name for folder in folders])


def check_shared(client: Any, folders: Sequence[Path]) -> None:
    """ConfigError where a worker does not see one of `folders` of the caller."""
    with contextlib.ExitStack() as stack:
        places = [*folders]
        for folder in folders:
            if os.access(folder, os.W_OK):  # a file of this moment shows that it is the same folder
                places.append(Path(stack.enter_context(tempfile.NamedTemporaryFile(dir=folder)).name))
        for place in places:
            blind = [worker for worker, seen in client.run(os.path.exists, str(place)).items() if not seen]
            if blind:
                raise ConfigError(
                    f"the worker at {blind[0]} does not see {place.parent if place not in folders else place}; an "
                    "experiment needs --corpora and --out on a disk that all workers share: move them, or use --shard."
                )


def _answered(future: Any) -> Answer | None:
    """What a worker said; None where it has not, or where it was lost with the scheduler."""
    with suppress(OSError, CancelledError):
        if future.status == "finished":
            return future.result()  # type: ignore[no-any-return]
    return None


def _result(answer: Answer) -> Any:
    if answer.mistake:
        raise ConfigError(f"the worker at {answer.worker}: {answer.mistake}")
    if answer.error is not None:
        raise answer.error
    return answer.result


def _address(client: Any) -> str:
    return f"the scheduler at {client.scheduler.address}" if client.scheduler else "the scheduler"


def _lost(client: Any) -> ConfigError:
    return ConfigError(f"{_address(client)} does not answer any more; start it, and repeat the command.")


def _width(client: Any) -> int:
    """The threads of all workers."""
    return sum(_threads(client).values())


def _threads(client: Any) -> dict[str, int]:
    """The threads of each worker by its address; none where the scheduler does not answer."""
    with suppress(OSError, CancelledError, RuntimeError):
        return dict(client.ncores())
    return {}


def _ended(client: Any, running: Mapping[Any, int]) -> list[Any]:
    """Those that are not pending any more, once there are any; says so where there is nobody to do them."""
    from distributed import wait

    told = False
    while True:
        with suppress(OSError, CancelledError), client.as_current():  # an OSError is what ends the patience, too
            wait([*running], timeout=_PATIENCE_S, return_when="FIRST_COMPLETED")
        if client.status in ("closed", "closing"):  # which cancels all that was running
            raise _lost(client)
        if ended := [future for future in running if future.status != "pending"]:
            return ended
        if not told and not _width(client):
            terminal.note(f"{_address(client)} has no workers; waiting until some are started.\n")
            told = True


class _Gone(Exception):
    """A worker is not there any more."""


class _Sent:
    """What was sent to workers, so that none is sent the same again and again."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._tries: Counter[tuple[str, Path]] = Counter()

    def to(self, answer: Answer) -> None:
        """Send what a worker lacks, unless another on the same disk has got it by now."""
        for folder in answer.lacks:
            self._tries[answer.worker, folder] += 1
            if self._tries[answer.worker, folder] > _MOST_TRIES * 2 * max(1, _width(self._client)):
                raise ConfigError(
                    f"the worker at {answer.worker} does not keep what it is sent; check its cache folder."
                )
            with suppress(_Gone):  # what it was sent for goes to another
                self._send(answer.worker, folder)

    def _send(self, worker: str, folder: Path) -> None:
        if worker not in _threads(self._client):
            raise _Gone
        if self._there(worker, cluster_worker.has, folder):
            return
        scratch = f"{cluster_worker.RECEIVING}{folder.name}-{secrets.token_hex(8)}"
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                for piece in chain([b""], iter(partial(file.read, _PIECE_BYTES), b"")):  # also of an empty file
                    self._there(worker, cluster_worker.receive, scratch, path.relative_to(folder), piece)
        self._there(worker, cluster_worker.keep, scratch, folder)

    def _there(self, worker: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a call on one worker; _Gone where that is not there any more."""
        future = self._client.submit(
            cluster_worker.answer, {}, [], function, arguments, workers=[worker], pure=False, priority=1
        )
        while True:
            with suppress(TimeoutError, CancelledError):
                try:
                    return _result(future.result(timeout=_PATIENCE_S))
                except CorpusError as error:  # its disk is full
                    raise ConfigError(f"the worker at {worker}: {error}") from error
            if future.status != "pending" or worker not in _threads(self._client):
                raise _Gone
