"""Arguments of the public functions, checked: a value of another type is one sentence, not a traceback."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

from sottovoce.errors import ConfigError

_SHOWN = 60  # letters of a wrong value


def text(value: Any, name: str) -> str:
    """`value`, which is text; ConfigError, which names the argument, for anything else."""
    if not isinstance(value, str):
        raise _wrong(value, name, "text")
    return value


def texts(value: Any, name: str) -> tuple[str, ...]:
    """One text, or each of a list of texts; ConfigError for anything else."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in value):
        raise _wrong(value, name, "text, or a list of texts")
    return tuple(value)


def path(value: Any, name: str) -> Path:
    """`value`, text or a path, as a path; ConfigError for anything else."""
    if not isinstance(value, (str, os.PathLike)):
        raise _wrong(value, name, "text or a path")
    return Path(value)


def places(value: Any, name: str) -> tuple[str | Path, ...]:
    """One text or path, or each of a list of them; ConfigError for anything else."""
    listed = value if isinstance(value, (list, tuple)) else (value,)
    for one in listed:
        path(one, name)
    return tuple(listed)


def whole(value: Any, name: str, least: int, most: int) -> int:
    """`value`, a whole number from `least` to `most`; ConfigError for anything else."""
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if not least <= number <= most:
        raise _wrong(value, name, f"a whole number from {least} to {most}")
    return number


def share(value: Any, name: str) -> float:
    """`value`, a number from 0 to 1; ConfigError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise _wrong(value, name, "a number from 0 to 1")
    return float(value)


def _wrong(value: Any, name: str, expected: str) -> ConfigError:
    shown = " ".join(repr(value)[:_SHOWN].split())
    return ConfigError(f"{name} is {shown} ({type(value).__name__}); expected {expected}.")
