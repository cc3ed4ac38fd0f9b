"""What a report says of words that were recognised, and of people who were sought among others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sottovoce.report.wording import interval, points, rounded_percent

Row = Mapping[str, Any]


def said(words: Row) -> str:
    """Whether what was said can be recognised."""
    if not words["recordings"]:
        return f"{words['recogniser']} broke down, so nothing can be said about the words."
    before, after, leakage = words["original"], words["obfuscated"], words["leakage"]
    return (
        f"{words['recogniser']}, a public recogniser of English, wrote down {words['recordings']} test recordings. Of "
        f"the content words it recovered {_with_interval(after['recovered'])} from what leaves and "
        f"{_with_interval(before['recovered'])} without the filter; {words['guess']} recover "
        f"{_with_interval(words['floor'])} without the sound. Leakage {points(leakage['score'])} points "
        f"({points(leakage['low'])} to {points(leakage['high'])}): {words['verdict'].upper()}. The word error rate is "
        f"{_with_interval(after['error_rate'])} on what leaves and {_with_interval(before['error_rate'])} without the "
        "filter. The recogniser was not trained on what leaves, and one that was may recover more."
    )


def crowds(linker: Row, table: str) -> list[tuple[int, Sequence[Row]]]:
    """The rows of "searches" or "isolations" of a linker, by the number of people; none in results that lack them."""
    rows = linker.get(table, [])
    return [(people, [row for row in rows if row["people"] == people]) for people in dict.fromkeys(_people(rows))]


def pooled(linker: Row, table: str) -> list[int]:
    """How many utterances are pooled in the columns of such a table."""
    return sorted({row["utterances"] for row in linker.get(table, [])})


def _people(rows: Sequence[Row]) -> list[int]:
    return sorted(row["people"] for row in rows)


def _with_interval(share: Row) -> str:
    return f"{rounded_percent(share['score'])} ({interval(share, 0)})"
