"""A target of which only answers can be had: a recogniser behind an HTTP endpoint.

The protocol, two requests to one address:

    GET   -> {"task": "emotion", "classes": ["angry", "calm"]}, and if the service likes "version": "7"
    POST  float32 spectra [B, 161, 128], B of 1 to 64, as an .npy file (numpy.save), Content-Type application/x-npy
          -> {"scores": [[0.3, -1.2], ...]} [B, K], logits or log probabilities, K in the order of the classes

A recogniser of sound describes itself with "takes": "wave" and "sample_rate": 16000 (in Hz), too. It gets

    POST  one segment of 1.28 s as a WAV file, mono, 16 bits, at that rate, Content-Type audio/wav
          -> {"scores": [[0.3, -1.2]]} [1, K]

A query is one segment sent. It counts when it is sent, again where it has to be sent again, since whoever answers may
count it so. What has been answered is kept in memory, by the segment's SHA-256, and never asked for twice.

Nothing goes to an address that the caller did not name: no redirect is followed, and the proxies that the environment
names are not used. What comes back is not trusted: its size is bounded, there is one deadline for all of it, and it has
to be JSON of the shape that was asked for, in finite numbers.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import ssl
import time
import urllib.parse
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, NoReturn

import httpx
import numpy as np
import soundfile
from numpy.typing import NDArray

from sottovoce import __version__
from sottovoce.audio.spectrum import BINS, SAMPLE_RATE, SEGMENT_FRAMES
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import read_json
from sottovoce.models.target import Takes, Target, from_callable
from sottovoce.models.target_metadata import checked_rate
from sottovoce.redaction import address

Array = NDArray[np.float32]
_Body = tuple[bytes, str]  # and its media type

MOST_SEGMENTS = 64  # in one request: 5 MiB

_FIRST_PAUSE_S = 0.5  # before the second attempt; doubled before each that follows
_LONGEST_PAUSE_S = 30.0  # whatever the service asks for
_BUSY = 429
_DESCRIPTION_BYTES = 1 << 20
_MOST_CLASSES = 1 << 14
_BYTES_PER_SCORE = 64  # a double has 24 characters at most; the rest is for spaces
_PIECE_BYTES = 1 << 16


def from_http(
    url: str,
    budget: int,
    per_second: float = 50.0,
    attempts: int = 3,
    timeout_s: float = 10.0,
    proxy: str | None = None,
) -> Target:
    """A target that is asked at `url`, http or https, by the protocol above; it can only be queried.

    At most `budget` queries are sent, `per_second` segments a second, through the `proxy` if one is named. A request
    that meets no connection, no whole answer within `timeout_s` seconds, status 429 or 5xx is sent up to `attempts`
    times, after pauses that grow, or that Retry-After asks for, of 30 s at most. The digest covers the address
    as messages show it, the task, the classes and the version, as far as the service names one: a recogniser that
    changes behind the same words keeps its digest, and no key in a query can be guessed from it.

    ConfigError for a setting outside its range; ModelError where the service does not answer, answers something else,
    or the budget is used up. Answers so far are kept then, and asking goes on from them.
    """
    url = _checked(url)
    service = _Service(url, _Meter(budget, per_second), attempts, timeout_s, proxy)
    about = service.description()
    recogniser = _Recogniser(service, about)
    target = from_callable(recogniser.scores, about.task, about.classes, about.takes, about.sample_rate)
    stated = [_shown(url), *about[:3], *(about[3:] if about.takes == "wave" else ())]
    return replace(target, digest=hashlib.sha256(json.dumps(stated, ensure_ascii=True).encode()).hexdigest())


def _checked(url: str) -> str:
    """`url`, its scheme in small letters, if it is an address of the web without a password, which is never sent."""
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or any(letter <= " " or letter > "~" for letter in url):
        raise ConfigError(
            f"{_shown(url)!r} is no address of a target; expected http://HOST/PATH or https://HOST/PATH without a "
            "password: write it so, or name a target folder or ONNX file that exists."
        )
    return parts.scheme + url[len(parts.scheme) :]


def _shown(url: str) -> str:
    """An address for a message and for the digest, without what may be a password or a key."""
    return address(url, with_path=True)


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


class _Description(NamedTuple):
    """What a service states about itself; an empty version where it states none."""

    task: str
    classes: list[str]
    version: str
    takes: Takes
    sample_rate: int


class _Recogniser:
    """A service that remembers: segments to scores, each different one asked for once."""

    def __init__(self, service: _Service, about: _Description) -> None:
        self._service, self._about = service, about
        self._answers: dict[bytes, Array] = {}

    def scores(self, inputs: Array, _: int = SAMPLE_RATE) -> Array:
        """Scores [B, K] of spectra [B, 161, 128], or of sound [B, T] at the rate of the service, float32."""
        segments = np.ascontiguousarray(inputs, dtype=np.float32)
        if self._about.takes == "spectrum" and segments.shape[1:] != (BINS, SEGMENT_FRAMES):
            raise ModelError(f"got spectra of shape {segments.shape}; expected (B, {BINS}, {SEGMENT_FRAMES}).")
        keys = [hashlib.sha256(segment.tobytes()).digest() for segment in segments]
        new = {key: i for i, key in enumerate(keys) if key not in self._answers}
        for batch in _batches(list(new), MOST_SEGMENTS if self._about.takes == "spectrum" else 1):
            answered = self._service.scores(segments[[new[key] for key in batch]], self._about)
            self._answers.update(zip(batch, answered, strict=True))
        return np.array([self._answers[key] for key in keys], np.float32).reshape(len(keys), len(self._about.classes))


def _batches(keys: list[bytes], most: int) -> Iterable[list[bytes]]:
    return (keys[i : i + most] for i in range(0, len(keys), most))


class _TryAgain(Exception):
    """The request failed in a way that may pass; `pause_s` is what the service asks for, None where it does not."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class _Service:
    """The endpoint: requests in, checked answers out."""

    def __init__(self, url: str, meter: _Meter, attempts: int, timeout_s: float, proxy: str | None) -> None:
        if attempts < 1 or not 0 < timeout_s < float("inf"):
            got = f"{attempts} and {timeout_s}"
            raise ConfigError(f"the attempts and the timeout in seconds of a target must be above 0, got {got}.")
        self._url, self._meter, self._attempts, self._timeout_s = url, meter, attempts, timeout_s
        self._name, self._proxy = _shown(url), proxy
        self._tls = ssl.create_default_context() if url.startswith("https:") else False

    def description(self) -> _Description:
        """What the service states about itself."""
        expected = 'expected {"task": NAME, "classes": [NAME, NAME, ...]}, and "takes" and "sample_rate" for sound'
        found = self._asked(None, 0, _DESCRIPTION_BYTES, expected)
        task, classes, version = found.get("task"), found.get("classes"), found.get("version", "")
        names = classes if isinstance(classes, list) else []
        if not all(isinstance(name, str) and name for name in [task, *names]) or len(set(names)) != len(names):
            self._refuse("describes itself otherwise than agreed", expected)
        if not 2 <= len(names) <= _MOST_CLASSES:
            self._refuse(f"names {len(names)} classes", f"expected 2 to {_MOST_CLASSES}")
        takes = found.get("takes", "spectrum")
        if takes not in ("spectrum", "wave"):
            self._refuse(f"takes {takes!r:.40}", 'expected "spectrum" or "wave"')
        try:
            rate = checked_rate(found.get("sample_rate", SAMPLE_RATE)) if takes == "wave" else SAMPLE_RATE
        except ValueError as error:
            self._refuse(f"describes itself otherwise than agreed ({error})", expected)
        return _Description(str(task), names, version if isinstance(version, str) else json.dumps(version), takes, rate)

    def scores(self, segments: Array, about: _Description) -> Array:
        """Scores [B, K] of spectra [B, 161, 128], B of 1 to 64, or of one segment of sound [1, T]."""
        file, classes = io.BytesIO(), len(about.classes)
        if about.takes == "spectrum":
            np.save(file, segments, allow_pickle=False)
        else:
            soundfile.write(file, segments[0], about.sample_rate, format="WAV", subtype="PCM_16")
        body = file.getvalue(), "application/x-npy" if about.takes == "spectrum" else "audio/wav"
        shape = (len(segments), classes)
        expected = f'expected {{"scores": {len(segments)} lists of {classes} finite numbers}}'
        most_bytes = _PIECE_BYTES + _BYTES_PER_SCORE * len(segments) * classes
        found = self._asked(body, len(segments), most_bytes, expected).get("scores")
        try:
            scores = np.asarray(found)  # ragged lists are a ValueError
        except (ValueError, OverflowError):
            self._refuse("gave lists of different lengths", expected)
        if scores.shape != shape or scores.dtype.kind not in "iuf":
            self._refuse(f"gave scores of shape {scores.shape} and type {scores.dtype}", expected)
        with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused below
            scores = scores.astype(np.float32)
        if not np.isfinite(scores).all():
            self._refuse("gave scores that are not finite", expected)
        return scores

    def _asked(self, body: _Body | None, queries: int, most_bytes: int, expected: str) -> dict[str, Any]:
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

    def _sent(self, body: _Body | None, most_bytes: int, expected: str) -> bytes:
        """The bytes that answer one request; _TryAgain where another may fare better."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"sottovoce/{__version__}",
        }
        content, media_type = body or (None, None)
        headers |= {"Content-Type": media_type} if media_type else {}

        async def answer() -> bytes:
            # One deadline for all of it: those of httpx begin again with every byte that comes.
            async with (
                asyncio.timeout(self._timeout_s),
                self._client() as client,
                client.stream("POST" if body else "GET", self._url, content=content, headers=headers) as reply,
            ):
                self._judge(reply)
                received = bytearray()
                async for piece in reply.aiter_raw(_PIECE_BYTES):  # as it was sent: unpacked, it could be any size
                    received += piece
                    if len(received) > most_bytes:
                        self._refuse(f"answered with more than {most_bytes} bytes", expected)
                return bytes(received)

        try:
            with ThreadPoolExecutor(1) as thread:  # the caller's may run a loop of its own, as a notebook does
                return thread.submit(asyncio.run, answer()).result()
        except TimeoutError as error:
            raise _TryAgain("timed out") from error
        except (httpx.HTTPError, OSError) as error:
            raise _TryAgain(str(error)[:200] or type(error).__name__) from error

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._tls, trust_env=False, proxy=self._proxy, follow_redirects=False, timeout=self._timeout_s
        )

    def _judge(self, reply: httpx.Response) -> None:
        """_TryAgain for a status that may pass, ModelError for one that will not."""
        if reply.status_code == _BUSY or reply.status_code >= 500:
            raise _TryAgain(f"status {reply.status_code}", _retry_after_s(reply.headers.get("Retry-After")))
        if reply.has_redirect_location:
            place = _shown(reply.headers["Location"])[:200]
            self._refuse(f"sends us on to {place!r}", "name that address if you trust it")
        if reply.status_code != 200:
            self._refuse(
                f"answered with status {reply.status_code}", "expected 200: see that the address is the target's"
            )

    def _parsed(self, received: bytes, expected: str) -> dict[str, Any]:
        try:
            return read_json(received, len(received))
        except ModelError as error:
            self._refuse(f"gave an answer that cannot be read: {str(error).rstrip('.')}", expected)

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
