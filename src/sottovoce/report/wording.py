"""Numbers and names as people read them: sentences have no decimals, tables have one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sottovoce.redaction import visible

_SPACE, _DASH, _MINUS = "\u202f", "\u2013", "\u2212"  # thin no-break space, en dash, minus


def percent(share: float) -> str:
    """A share of 1 as tables give it: 0.786 -> 78.6 %."""
    return f"{100 * share:.1f}{_SPACE}%"


def rounded_percent(share: float) -> str:
    """A share of 1 as sentences give it: 0.786 -> 79 %; 100 % and 0 % stand only for all and none."""
    if share < 1 and round(100 * share) == 100:
        return f"over 99{_SPACE}%"
    if share > 0 and round(100 * share) == 0:
        return f"under 1{_SPACE}%"
    return f"{100 * share:.0f}{_SPACE}%"


def interval(score: Mapping[str, Any], digits: int = 1) -> str:
    """The interval around a score, in percent: 74.9-82.4, with an en dash."""
    return f"{100 * score['low']:.{digits}f}{_DASH}{100 * score['high']:.{digits}f}"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, with its sign: 0.696 -> +69.6."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", _MINUS)


def number(value: float, digits: int = 2) -> str:
    """A number that is no share, with a true minus: 0.41, 21.30."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", _MINUS)


def number_with_interval(score: Mapping[str, Any], digits: int = 2) -> str:
    """A number with its interval: 0.41 (0.35 to 0.47)."""
    return f"{number(score['score'], digits)} ({number(score['low'], digits)} to {number(score['high'], digits)})"


def duration(seconds: float) -> str:
    """A time: 8.2 s, 2 min 5 s, 3 h 20 min."""
    if seconds < 59.95:
        return f"{seconds:.1f}{_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    return f"{minutes // 60}{_SPACE}h {minutes % 60}{_SPACE}min"


def capitalised(text: str) -> str:
    """With a capital, as a sentence begins."""
    return text[:1].upper() + text[1:]


def listed(names: Sequence[str], last: str = "and", most: int | None = None) -> str:
    """Names in a sentence: "a, b and c"; of more than `most`, the first ones and how many more there are."""
    if most is not None and len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return f" {last} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def short(label: str, longest: int) -> str:
    """A label of at most `longest` characters."""
    label = visible(label)
    return label if len(label) <= longest else label[: longest - 1] + "\u2026"


def counted(count: int, noun: str) -> str:
    """ "1 recording", "2 recordings"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def markdown(value: object) -> str:
    """Text that means itself in Markdown, on one line and inside the cell of a table; addresses are no links."""
    text = re.sub(r"\s+", " ", visible(str(value)))
    text = re.sub(r"([\\`*_\[\]<>|&~$#@])", r"\\\1", text)
    text = re.sub(r"(?<=[A-Za-z]):(?=//)|(?<=www)\.", r"\\\g<0>", text, flags=re.IGNORECASE)
    return re.sub(r"^( *(?:\d{1,9}(?=[.)] )|(?=[-+] |[-=]+$)))", r"\1\\", text)  # what would begin a list or a heading
