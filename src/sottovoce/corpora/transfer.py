"""One file over HTTP: it resumes where it was cut off, as long as the server says that it is still the same file."""

from __future__ import annotations

import re
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from sottovoce import __version__
from sottovoce.errors import CorpusError

STALLED_S = 60.0  # without a byte, after which a connection counts as cut
LEAST_BYTES = 1 << 16  # in that time
RETRIES = 5  # in a row that bring nothing
PAUSE_S = 1.0  # before the first of them; twice as long before each further one
MOST_BYTES = 200 << 30

_PIECE = 1 << 20
_BUSY = {429, 500, 502, 503, 504}


class _Cut(Exception):
    """The connection ended too early; the message is the reason."""


class _Slow(_Cut):
    """It was ended, since hardly anything came."""


def transfer(url: str, path: Path, size: int, report: Callable[[int, int], None]) -> None:
    """Bring what is at `url` to `path`, which may hold the beginning of it already.

    `size` in bytes is checked where it is not 0; `report` gets MiB done and MiB in all. CorpusError says what went
    wrong; what came stays, for the next time.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise CorpusError(f"{_place(url)} is no address of a server; expected http:// or https://.")
    fruitless = 0
    while True:
        before = _length(path)
        try:
            _continue(url, path, size, report)
            return
        except _Cut as cut:
            fruitless = fruitless + 1 if isinstance(cut, _Slow) or _length(path) <= before else 0
            if fruitless > RETRIES:
                raise CorpusError(
                    f"{_place(url)} could not be fetched ({cut}), and {RETRIES} more attempts brought nothing; repeat "
                    f"the command, which resumes after {_length(path)} bytes, or name another server with --mirror."
                ) from cut
            time.sleep(PAUSE_S * 2.0**fruitless)


def _continue(url: str, path: Path, size: int, report: Callable[[int, int], None]) -> None:
    validator = path.with_name(f"{path.name}.validator")  # by which the server knows its file again
    have = _length(path) if validator.is_file() else 0
    if have and have == size:
        return
    request = urllib.request.Request(url, headers={"User-Agent": f"sottovoce/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator.read_text(encoding="utf-8"))
    try:
        with urllib.request.urlopen(request, timeout=STALLED_S) as response:
            start, total = _offered(response, have)
            _check(url, path, size, start, total)
            same = response.headers.get("ETag", "")
            same = (
                same if same.startswith('"') else response.headers.get("Last-Modified", "")
            )  # a weak one is of no use
            if same:
                validator.write_text(same, encoding="utf-8")
            else:
                validator.unlink(missing_ok=True)
            _receive(response, path, start, total, report)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the file there is not longer than what is here
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return
            validator.unlink(missing_ok=True)
            raise _Cut("it changed on the server") from error
        if error.code in _BUSY:
            raise _Cut(f"the server answers {error.code}") from error
        raise CorpusError(
            f"{_place(url)}: the server answers {error.code} ({error.reason}); look whether the release has moved, or "
            "name another server with --mirror."
        ) from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        raise _Cut(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _offered(response: HTTPResponse, have: int) -> tuple[int, int]:
    """The first byte that the server sends and the length of the whole, 0 if it does not say."""
    part = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == 206 and part and int(part[1]) == have:
        return have, int(part[2])
    if response.status != 200:
        raise _Cut(f"the server answers {response.status} with another part than it was asked for")
    return 0, int(response.headers.get("Content-Length", 0))


def _check(url: str, path: Path, size: int, start: int, total: int) -> None:
    if size and total and total != size:
        raise CorpusError(
            f"{_place(url)} has {total} bytes, {size} were expected: another release than the one that is known here."
        )
    if total > MOST_BYTES:
        raise CorpusError(f"{_place(url)} has {total} bytes; expected at most {MOST_BYTES}.")
    free = shutil.disk_usage(path.parent).free
    if total - start > free:
        raise CorpusError(
            f"{path.parent} has room for {free >> 20} MiB and {(total - start) >> 20} MiB are still to come; free some "
            "space or choose another --out."
        )


def _receive(response: HTTPResponse, path: Path, start: int, total: int, report: Callable[[int, int], None]) -> None:
    done = start
    most = total or MOST_BYTES
    with path.open("r+b" if path.is_file() else "wb") as file:
        file.truncate(start)
        file.seek(start)
        since, brought = time.monotonic(), 0
        while piece := response.read1(_PIECE):
            done, brought = done + len(piece), brought + len(piece)
            if done > most:
                raise CorpusError(f"{path.name}: the server sends more than {most} bytes; try again later.")
            file.write(piece)
            report(done >> 20, max(total, done) >> 20)
            if time.monotonic() - since > STALLED_S:  # a byte now and then would keep the connection for ever
                if brought < LEAST_BYTES:
                    raise _Slow(f"only {brought} bytes came in {STALLED_S:.0f} s")
                since, brought = time.monotonic(), 0
    if done < total:
        raise _Cut(f"the connection ended after {done} of {total} bytes")


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _place(url: str) -> str:
    """An address for a message, without what may be a key."""
    return repr(urllib.parse.urlsplit(url)._replace(query="", fragment="").geturl())
