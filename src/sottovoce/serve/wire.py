"""The messages of a connection: the hello, control messages in JSON, and how features and labels are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from sottovoce.audio.io import check_rate
from sottovoce.audio.spectrum import Spectrum
from sottovoce.errors import ConfigError, ModelError
from sottovoce.files import read_json
from sottovoce.runtime.labels import Label, tables
from sottovoce.runtime.pcm import BYTES, Encoding

OUTPUTS = ("sound", "features", "labels")
PACES = ("live", "wait")

_LONGEST_TEXT = 4096
_MOST_TASKS = 64


def encode_features(features: Spectrum) -> bytes:
    """A spectrogram [161, N] as N frames of 161 numbers, f32le."""
    return np.ascontiguousarray(features.T).astype("<f4").tobytes()


def encode_labels(rows: Sequence[Label]) -> str:
    """Rows as one text of JSON; empty where there are none."""
    return json.dumps({"labels": tables(rows)}) if rows else ""


@dataclass(frozen=True)
class Hello:
    """The first message of a client: rate and encoding of its sound, and what is to come back, and how.

    `permit` None is all that the filter can. At pace "live" sound that cannot be worked on in time is lost; at "wait"
    the client has to wait instead. `output` "features" are frames of 161 float32 numbers, "labels" rows of time,
    task and class in texts of JSON.
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
    """A JSON object of at most `longest` letters or bytes of UTF-8, as `read_json` takes it; ConfigError otherwise."""
    try:
        return read_json(text, longest)
    except ModelError as error:
        raise ConfigError(
            f"got a text message that is no JSON object; expected one of at most {longest} letters, a few levels and "
            "finite numbers, in which no name occurs twice."
        ) from error


def parse_tasks(tasks: Any) -> tuple[str, ...]:
    """Names of tasks; ConfigError for anything else."""
    if not isinstance(tasks, list) or len(tasks) > _MOST_TASKS or not all(isinstance(name, str) for name in tasks):
        raise ConfigError(f"permit has to be a list of at most {_MOST_TASKS} names of tasks.")
    return tuple(tasks)


def _one_of(content: dict[str, Any], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = content.get(name, default)
    if value not in allowed:
        raise ConfigError(f"{name} is {str(value)[:40]!r}; expected {' or '.join(allowed)}.")
    return str(value)
