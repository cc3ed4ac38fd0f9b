"""How sound and wishes travel over a network: encodings of samples, and the first message of a connection."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.io import check_rate, cleaned
from sottovoce.audio.spectrum import Spectrum, Wave
from sottovoce.errors import AudioError, ConfigError

Encoding = Literal["s16le", "f32le", "mulaw"]
BYTES: dict[Encoding, int] = {"s16le": 2, "f32le": 4, "mulaw": 1}  # of a sample
OUTPUTS = ("sound", "features")
PACES = ("live", "wait")

_BIAS, _CLIP = 0x84, 32635  # of ITU-T G.711, mu-law
_LONGEST_TEXT = 4096
_MOST_TASKS = 64
_DEEPEST = 32
_MOST_DIGITS = 18
_STRING = re.compile(r'"(?:\\.|[^"\\])*(?:"|\\?\Z)', re.DOTALL)  # an open one goes to the end: no text takes long


def decode(content: bytes, encoding: Encoding) -> Wave:
    """Samples [n] of raw sound; AudioError for half a sample. What is not finite, or damage, becomes 0."""
    if len(content) % BYTES[encoding]:
        raise AudioError(f"got {len(content)} bytes of {encoding}; expected {BYTES[encoding]} for each sample.")
    if encoding == "s16le":
        return np.frombuffer(content, "<i2").astype(np.float32) / np.float32(2.0**15)
    if encoding == "f32le":
        return cleaned(np.frombuffer(content, "<f4").astype(np.float32))
    return _MULAW[np.frombuffer(content, np.uint8)]


def encode(wav: Wave, encoding: Encoding) -> bytes:
    """Raw sound of samples [n], clipped to full scale where the encoding has one."""
    if encoding == "f32le":
        return wav.astype("<f4").tobytes()
    coded = np.clip(np.rint(wav * 2.0**15), -(2**15), 2**15 - 1).astype("<i2")
    return coded.tobytes() if encoding == "s16le" else _compressed(coded.astype(np.int32)).tobytes()


def encode_features(features: Spectrum) -> bytes:
    """A spectrogram [161, N] as N frames of 161 numbers, f32le."""
    return np.ascontiguousarray(features.T).astype("<f4").tobytes()


def _expanded() -> Wave:
    """The sample of each of the 256 codes of mu-law."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + _BIAS << (code >> 4 & 7)) - _BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) / 2.0**15).astype(np.float32)


_MULAW = _expanded()


def _compressed(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The mu-law codes of 16-bit samples."""
    magnitude = np.minimum(np.abs(samples), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    code = (samples < 0) * 0x80 | exponent << 4 | magnitude >> exponent + 3 & 0x0F
    inverted: NDArray[np.uint8] = ~code.astype(np.uint8)
    return inverted


@dataclass(frozen=True)
class Hello:
    """What a client asks for: rate and encoding of its sound, what it wants back, and how.

    `permit` None is all that the filter can. At pace "live" sound that cannot be worked on in time is lost; at "wait"
    the client has to wait instead. `output` "features" are frames of 161 float32 numbers.
    """

    sample_rate: int = 16000
    encoding: Encoding = "s16le"
    output: str = "sound"
    pace: str = "live"
    permit: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, text: str) -> Hello:
        """From JSON; ConfigError for anything unknown or outside its range."""
        content = parse_object(text)
        known = tuple(cls.__dataclass_fields__)
        if strange := [name for name in content if name not in known]:
            raise ConfigError(f"the hello has {strange[0][:40]!r}; expected some of {', '.join(known)}.")
        rate = content.get("sample_rate", cls.sample_rate)
        if type(rate) is not int:
            raise ConfigError("sample_rate has to be a whole number of Hz.")
        check_rate(rate)
        return cls(
            rate,
            cast(Encoding, _one_of(content, "encoding", tuple(BYTES), cls.encoding)),
            _one_of(content, "output", OUTPUTS, cls.output),
            _one_of(content, "pace", PACES, cls.pace),
            parse_tasks(content["permit"]) if content.get("permit") is not None else None,
        )


def parse_object(text: str | bytes, longest: int = _LONGEST_TEXT) -> dict[str, Any]:
    """A JSON object of at most `longest` letters or bytes of UTF-8.

    ConfigError for anything else, and for what programs read differently: names that occur twice, numbers that are not
    finite or have many digits, halves of letters, more than a few levels.
    """
    try:
        if len(text) > longest:
            raise ValueError
        whole = text if isinstance(text, str) else text.decode()
        if _depth(whole) > _DEEPEST:
            raise ValueError
        content = json.loads(whole, object_pairs_hook=_unique, parse_constant=_refused, parse_int=_whole_number)
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()  # 1e999 and half a letter cannot be written
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ConfigError(
            f"got a text message that is no JSON object; expected one of at most {longest} letters, {_DEEPEST} levels "
            "and finite numbers, in which no name occurs twice."
        )
    return content


def _depth(text: str) -> int:
    """How many brackets are open at once at most, those within strings left out."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name occurs twice")
    return content


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def parse_tasks(found: Any) -> tuple[str, ...]:
    """Names of tasks; ConfigError for anything else."""
    if not isinstance(found, list) or len(found) > _MOST_TASKS or not all(isinstance(name, str) for name in found):
        raise ConfigError(f"permit has to be a list of at most {_MOST_TASKS} names of tasks.")
    return tuple(found)


def _one_of(content: dict[str, Any], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = content.get(name, default)
    if value not in allowed:
        raise ConfigError(f"{name} is {str(value)[:40]!r}; expected {' or '.join(allowed)}.")
    return str(value)
