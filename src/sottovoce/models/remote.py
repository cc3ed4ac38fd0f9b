"""A target of which only answers can be had: a recogniser behind an HTTP endpoint.

The protocol, two requests to one address:

    GET   -> {"task": "emotion", "classes": ["angry", "calm"]}, and if the service likes "version": "7"
    POST  float32 spectra [B, 161, 128], B of 1 to 64, as an .npy file (numpy.save), Content-Type application/x-npy
          -> {"scores": [[0.3, -1.2], ...]} [B, K], logits or log probabilities, K in the order of the classes

A query is one segment sent. It counts when it is sent, again where it has to be sent again, since whoever answers may
count it so. What has been answered is kept in memory, by the segment's SHA-256, and never asked for twice.

Nothing goes to an address that the caller did not name: no redirect is followed. (The proxies that the environment
names are used, as by any client.) What comes back is not trusted: its
size is bounded, and it has to be JSON of the shape that was asked for, in finite numbers.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import BINS, SEGMENT_FRAMES
from sottovoce.errors import ConfigError, ModelError
from sottovoce.models.target import Target, from_callable

Array = NDArray[np.float32]

MOST_SEGMENTS = 64  # in one request: 5 MiB

_FIRST_PAUSE_S = 0.5  # before the second attempt; doubled before each that follows
_LONGEST_PAUSE_S = 30.0  # whatever the service asks for
_BUSY = 429
_DESCRIPTION_BYTES = 1 << 20
_BYTES_PER_SCORE = 64  # a double has 24 characters at most; the rest is for spaces
_PIECE_BYTES = 1 << 16


def from_http(url: str, budget: int, per_second: float = 50.0, attempts: int = 3, timeout_s: float = 10.0) -> Target:
    """A target that is asked at `url`, http or https, by the protocol above; it can only be queried.

    At most `budget` queries are sent, `per_second` segments a second. A request that meets no connection, no answer
    within `timeout_s` seconds, status 429 or 5xx is sent up to `attempts` times, after pauses that grow, or that
    Retry-After asks for, of 30 s at most. The digest covers the address, the task, the classes and the version, as far
    as the service names one: a recogniser that changes behind the same words keeps its digest.

    ConfigError for a setting outside its range; ModelError where the service does not answer, answers something else,
    or the budget is used up. Answers so far are kept then, and asking goes on from them.
    """
    service = _Service(_checked(url), _Meter(budget, per_second), attempts, timeout_s)
    task, classes, version = service.description()
    recogniser = _Recogniser(service, len(classes))
    target = from_callable(recogniser.scores, task, classes)
    identity = json.dumps([url, task, classes, version], ensure_ascii=True).encode()
    return Target(task, target.classes, False, target.logits, hashlib.sha256(identity).hexdigest())


def _checked(url: str) -> str:
    """`url`, if it is an address of the web, without a password: it would not be sent as one."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.username
    except ValueError:
        good = False
    if not good or any(letter <= " " or letter > "~" for letter in url):
        shown = url.rpartition("@")[2]
        raise ConfigError(
            f"{shown!r} is no address of a target; expected http://HOST/PATH or https://HOST/PATH, without a password."
        )
    return url


class _Meter:
    """Counts the queries sent, up to a budget, and spaces them in time."""

    def __init__(self, budget: int, per_second: float) -> None:
        if budget < 1 or not 0 < per_second < float("inf"):
            got = f"{budget} and {per_second}"
            raise ConfigError(f"the budget and the queries per second of a target must be above 0, got {got}.")
        self._budget, self._per_second = budget, per_second
        self._sent = 0
        self._next_s = time.monotonic()  # when the next query may be sent

    def spend(self, queries: int) -> None:
        """Wait until `queries` may be sent; ModelError, and none is counted, where the budget has not as many left."""
        if self._sent + queries > self._budget:
            raise ModelError(
                f"the target's budget of {self._budget} queries is used up: {self._sent} were sent and {queries} more "
                f"are needed; give it a budget of at least {self._sent + queries}, or fewer recordings."
            )
        self._sent += queries
        now = time.monotonic()
        if self._next_s > now:
            time.sleep(self._next_s - now)
        self._next_s = max(now, self._next_s) + queries / self._per_second


class _Recogniser:
    """A service that remembers: spectra to scores, each different segment asked for once."""

    def __init__(self, service: _Service, classes: int) -> None:
        self._service, self._classes = service, classes
        self._answers: dict[bytes, Array] = {}

    def scores(self, spectra: Array) -> Array:
        """Scores [B, K] of spectra [B, 161, 128], float32."""
        segments = np.ascontiguousarray(spectra, dtype=np.float32)
        if segments.shape[1:] != (BINS, SEGMENT_FRAMES):
            raise ModelError(f"got spectra of shape {segments.shape}; expected (B, {BINS}, {SEGMENT_FRAMES}).")
        keys = [hashlib.sha256(segment.tobytes()).digest() for segment in segments]
        new = {key: i for i, key in enumerate(keys) if key not in self._answers}
        for batch in _batches(list(new)):
            answered = self._service.scores(segments[[new[key] for key in batch]], self._classes)
            self._answers.update(zip(batch, answered, strict=True))
        return np.array([self._answers[key] for key in keys], np.float32).reshape(len(keys), self._classes)


def _batches(keys: list[bytes]) -> Iterable[list[bytes]]:
    return (keys[i : i + MOST_SEGMENTS] for i in range(0, len(keys), MOST_SEGMENTS))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect becomes an error, like any other status that is not an answer."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _TryAgain(Exception):
    """The request failed in a way that may pass; `pause_s` is what the service asks for, None where it does not."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class _Service:
    """The endpoint: requests in, checked answers out."""

    def __init__(self, url: str, meter: _Meter, attempts: int, timeout_s: float) -> None:
        if attempts < 1 or not 0 < timeout_s < float("inf"):
            got = f"{attempts} and {timeout_s}"
            raise ConfigError(f"the attempts and the timeout in seconds of a target must be above 0, got {got}.")
        self._url, self._meter, self._attempts, self._timeout_s = url, meter, attempts, timeout_s
        self._name = urllib.parse.urlsplit(url)._replace(query="", fragment="").geturl()  # a query may hold a key
        self._opener = urllib.request.build_opener(_NoRedirect)

    def description(self) -> tuple[str, list[str], str]:
        """Task, classes and version (empty where there is none) that the service names."""
        expected = 'expected {"task": NAME, "classes": [NAME, NAME, ...]}'
        found = self._asked(None, 0, _DESCRIPTION_BYTES, expected)
        task, classes, version = found.get("task"), found.get("classes"), found.get("version", "")
        names = classes if isinstance(classes, list) else []
        if not all(isinstance(name, str) and name for name in [task, *names]) or len(set(names)) != len(names):
            self._refuse("describes itself otherwise than agreed", expected)
        if len(names) < 2:
            self._refuse(f"names {len(names)} classes", expected)
        return str(task), names, version if isinstance(version, str) else json.dumps(version)

    def scores(self, segments: Array, classes: int) -> Array:
        """Scores [B, K] of segments [B, 161, 128], B of 1 to 64."""
        file = io.BytesIO()
        np.save(file, segments, allow_pickle=False)
        shape = (len(segments), classes)
        expected = f'expected {{"scores": {len(segments)} lists of {classes} finite numbers}}'
        most_bytes = _PIECE_BYTES + _BYTES_PER_SCORE * len(segments) * classes
        found = self._asked(file.getvalue(), len(segments), most_bytes, expected).get("scores")
        try:
            scores = np.asarray(found)  # ragged lists are a ValueError
        except ValueError:
            self._refuse("gave lists of different lengths", expected)
        if scores.shape != shape or scores.dtype.kind not in "iuf":
            self._refuse(f"gave scores of shape {scores.shape} and type {scores.dtype}", expected)
        with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused below
            scores = scores.astype(np.float32)
        if not np.isfinite(scores).all():
            self._refuse("gave scores that are not finite", expected)
        return scores

    def _asked(self, body: bytes | None, queries: int, most_bytes: int, expected: str) -> dict[str, Any]:
        """The JSON object that answers a request, after as many attempts as are allowed."""
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, self._attempts + 1):
            if queries:
                self._meter.spend(queries)
            try:
                return self._parsed(self._sent(body, most_bytes, expected), expected)
            except _TryAgain as failed:
                if attempt == self._attempts:
                    raise ModelError(
                        f"the target at {self._name} did not answer in {attempt} attempts ({failed}); "
                        "see that it runs and can be reached, then start again."
                    ) from failed
                time.sleep(min(_LONGEST_PAUSE_S, pause_s if failed.pause_s is None else failed.pause_s))
            pause_s *= 2
        raise AssertionError("there is at least one attempt, and the last one returns or raises")

    def _sent(self, body: bytes | None, most_bytes: int, expected: str) -> bytes:
        """The bytes that answer one request; _TryAgain where another may fare better."""
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/x-npy"} if body else {})
        request = urllib.request.Request(self._url, body, headers)
        deadline_s = time.monotonic() + self._timeout_s
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                return self._received(response, deadline_s, most_bytes, expected)
        except urllib.error.HTTPError as error:  # before OSError, of which it is one
            with error:
                self._judge(error)
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgain(str(getattr(error, "reason", error))[:200] or type(error).__name__) from error

    def _received(self, response: Any, deadline_s: float, most_bytes: int, expected: str) -> bytes:
        """The body of an answer, whose size and time are bounded as a whole, however small the pieces it comes in."""
        declared = response.length  # None where the end of the answer shows only when it comes
        received = bytearray()
        while declared is None or len(received) < declared:
            piece = response.read1(_PIECE_BYTES)
            received += piece
            if len(received) > most_bytes:
                self._refuse(f"answered with more than {most_bytes} bytes", expected)
            if time.monotonic() > deadline_s:
                raise TimeoutError("timed out")
            if not piece:
                break
        if declared is not None and len(received) < declared:
            raise http.client.IncompleteRead(bytes(received), declared - len(received))
        return bytes(received)

    def _judge(self, error: urllib.error.HTTPError) -> NoReturn:
        """_TryAgain for a status that may pass, ModelError for one that will not."""
        if error.code == _BUSY or error.code >= 500:
            raise _TryAgain(f"status {error.code}", _retry_after_s(error.headers.get("Retry-After")))
        place = error.headers.get("Location")
        if place is not None and 300 <= error.code < 400:
            self._refuse(f"sends us on to {place[:200]!r}", "name that address if you trust it")
        self._refuse(f"answered with status {error.code}", "expected 200: see that the address is the target's")

    def _parsed(self, received: bytes, expected: str) -> dict[str, Any]:
        try:
            found = json.loads(received)
        except (ValueError, RecursionError):
            self._refuse("answered something that is not JSON", expected)
        if not isinstance(found, dict):
            self._refuse("answered JSON that is no object", expected)
        return found

    def _refuse(self, what: str, expected: str) -> NoReturn:
        raise ModelError(f"the target at {self._name} {what}; {expected}.") from None


def _retry_after_s(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date; None where there is none or it is neither."""
    if header is None:
        return None
    try:
        seconds = (
            float(header) if header.strip().isdecimal() else parsedate_to_datetime(header).timestamp() - time.time()
        )
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds)
