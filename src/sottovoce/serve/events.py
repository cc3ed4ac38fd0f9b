"""Events of the Wyoming protocol, and what of them may pass the filter.

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

from sottovoce import __version__
from sottovoce.errors import ConfigError
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
    """What a client is told when its connection is given up."""
    return Event("error", {"text": text, "code": "sottovoce"})


class KnownNames:
    """The languages, models and wake words that clients may ask a recogniser for.

    A sender could write anything into a name. So each has a closed pattern, and of all names that ever come only the
    first few pass: afterwards a name chooses one of these, and tells no more than which.
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
            asked_for = event.data.get("names")
            some = asked_for if isinstance(asked_for, list) else []
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
