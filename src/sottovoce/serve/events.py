"""Events of the Wyoming protocol, what of them may pass the filter, and sounds as events.

An event is a line of JSON, {"type", "version", "data", "data_length", "payload_length"}, then `data_length` bytes of
JSON that are added to its data, then `payload_length` bytes; sound is the payload of "audio-chunk", whose data are
rate, width (bytes) and channels. As the protocol's own project publishes it (version 1.10).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sottovoce import __version__
from sottovoce.audio.io import check_rate
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import ConfigError
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pcm import decode, encode
from sottovoce.serve.wire import parse_object

ANSWERS = (  # of a recogniser or wake word detector; none has a payload
    "transcript",
    "transcript-start",
    "transcript-chunk",
    "transcript-stop",
    "detection",
    "not-detected",
    "voice-started",
    "voice-stopped",
    "info",
    "error",
)
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z]{2,4})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,63}")
_MOST_LANGUAGES, _MOST_NAMES = 4, 4
_WIDTH = 2  # bytes of a sample; the protocol's services use no other
_MOST_CHANNELS = 8
_SHOWN = 40  # letters of a wrong value


@dataclass(frozen=True)
class Event:
    """One event; `data` are its JSON, `payload` its bytes."""

    type: str
    data: Mapping[str, Any]
    payload: bytes = b""

    def encode(self) -> bytes:
        """As it goes over the network."""
        data = json.dumps(self.data).encode() if self.data else b""
        header: dict[str, Any] = {"type": self.type, "version": __version__}
        header |= {"data_length": len(data)} if data else {}
        header |= {"payload_length": len(self.payload)} if self.payload else {}
        return json.dumps(header).encode() + b"\n" + data + self.payload


async def read_event(reader: asyncio.StreamReader, most_bytes: int) -> Event | None:
    """The next event; None at the end. ConfigError for what is none, or has more than `most_bytes` in a part."""
    try:
        line = await reader.readline()
        if not line:
            return None
        header = parse_object(line, most_bytes)
        lengths = [header.get(name) or 0 for name in ("data_length", "payload_length")]
        data = header.get("data") or {}
        if not isinstance(header["type"], str) or not isinstance(data, dict):
            raise ValueError
        if not all(type(n) is int and 0 <= n <= most_bytes for n in lengths):
            raise ValueError
        if lengths[0]:
            data = {**data, **parse_object(await reader.readexactly(lengths[0]), most_bytes)}
        return Event(header["type"], data, await reader.readexactly(lengths[1]))
    except asyncio.IncompleteReadError:
        return None  # it hung up in the middle: of that nothing is used
    except (ValueError, KeyError, ConfigError) as error:
        raise ConfigError(
            f"got no event of the Wyoming protocol, or one with more than {most_bytes} bytes, deep or doubtful JSON."
        ) from error


def error_event(text: str) -> Event:
    """The last event of a connection that is given up."""
    return Event("error", {"text": text, "code": "sottovoce"})


class KnownNames:
    """The languages, models and wake words that clients may request of a recogniser.

    A sender could write anything into a name. So each has a closed pattern, and of all names that ever come only the
    first few pass: afterwards a name chooses one of these, and reveals no more than which.
    """

    def __init__(self) -> None:
        self._languages: set[str] = set()
        self._names: set[str] = set()

    def request(self, event: Event) -> Event | None:
        """What may pass of "transcribe" or "detect"; None for any other event."""
        if event.type == "transcribe":
            data: dict[str, Any] = {}
            if self._known(event.data.get("name"), _NAME, self._names, _MOST_NAMES):
                data["name"] = event.data["name"]
            if self._known(event.data.get("language"), _LANGUAGE, self._languages, _MOST_LANGUAGES):
                data["language"] = event.data["language"]
            return Event(event.type, data)
        if event.type == "detect":
            given = event.data.get("names")
            some = given if isinstance(given, list) else []
            names = {name for name in some if self._known(name, _NAME, self._names, _MOST_NAMES)}
            return Event(event.type, {"names": sorted(names)} if names else {})
        return None

    @staticmethod
    def _known(name: Any, pattern: re.Pattern[str], known: set[str], most: int) -> bool:
        if not isinstance(name, str) or not pattern.fullmatch(name):
            return False
        if len(known) < most:
            known.add(name)
        return name in known


def sound_form(event: Event) -> tuple[int, int]:
    """Rate in Hz and channels of "audio-start" or "audio-chunk"; ConfigError for what is no sound of the protocol."""
    rate, width, channels = (event.data.get(name) for name in ("rate", "width", "channels"))
    if type(rate) is not int or type(width) is not int or width != _WIDTH:
        raise ConfigError(
            f"got sound of rate {str(rate)[:_SHOWN]} and width {str(width)[:_SHOWN]}; expected Hz, and {_WIDTH} bytes."
        )
    check_rate(rate)
    if type(channels) is not int or not 0 < channels <= _MOST_CHANNELS:
        raise ConfigError(f"got sound of {str(channels)[:_SHOWN]} channels; expected 1 to {_MOST_CHANNELS}.")
    return rate, channels


class Sounds:
    """The sounds of one connection, one after the other: events of sound to events of obfuscated sound.

    There is a stream for each, at `output_rate` Hz (if None, at the rate of the sound).
    """

    def __init__(self, permit: Filter, output_rate: int | None = None) -> None:
        self._permit, self._output_rate = permit, output_rate
        self._stream: Any = None
        self._requests: dict[str, Event] = {}
        self._announced = False
        self.rate = 0

    @property
    def open(self) -> bool:
        """Whether a sound has begun and not ended."""
        return self._stream is not None

    def keep(self, request: Event) -> None:
        """Keep a request until the first event of the next sound is sent: at most one of each type for a sound."""
        self._requests[request.type] = request

    def begin(self, rate: int) -> None:
        """A new sound; nothing of the one before is remembered."""
        self.rate, self._announced = rate, False
        self._stream = self._permit.stream(rate, self._output_rate or rate)

    def samples(self, event: Event) -> tuple[Wave, int]:
        """The mean of the channels [T] of "audio-chunk", and their rate; ConfigError for damage."""
        rate, channels = sound_form(event)
        if len(event.payload) % (_WIDTH * channels):
            raise ConfigError(f"got {len(event.payload)} bytes; expected {_WIDTH * channels} for each sample.")
        mono: Wave = decode(event.payload, "s16le").reshape(-1, channels).mean(axis=1, dtype=np.float32)
        return mono, rate

    def feed(self, samples: Wave) -> list[Event]:
        """What is ready after these samples."""
        return self._chunks(self._stream.feed(samples))

    def end(self) -> list[Event]:
        """What is left of the sound, if one has begun."""
        if self._stream is None:
            return []
        stream, self._stream = self._stream, None
        rest = stream.flush()
        return [*self._begun(), *self._chunks(rest)]

    def _begun(self) -> list[Event]:
        """That a sound begins, sent only with its first chunk: what reveals nothing must not reveal when it began."""
        if self._announced:
            return []
        self._announced = True
        requests, self._requests = [*self._requests.values()], {}
        return [*requests, Event("audio-start", self._form)]

    @property
    def _form(self) -> dict[str, int]:
        return {"rate": self._output_rate or self.rate, "width": _WIDTH, "channels": 1}

    def _chunks(self, wav: Wave) -> list[Event]:
        """The sound as events of at most 100 ms."""
        size = self._form["rate"] // 10
        parts = [wav[start : start + size] for start in range(0, len(wav), size)]
        chunks = [Event("audio-chunk", self._form, encode(part, "s16le")) for part in parts]
        return [*self._begun(), *chunks] if chunks else []
