"""What the codewords of a filter are made of, as its card records it and in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SYNTHETIC: Final = "synthetic"
RECORDINGS: Final = "recordings"
SOURCES = (SYNTHETIC, RECORDINGS)
METHODS = ("codebook", "words")  # whose filters have codewords

_RECORDED_SINCE = "0.2.0"  # the first release whose cards say what codewords are made of
_UNKNOWN = (
    "What the codewords of this filter are made of is not recorded. Filters of the preset black-box, and filters for "
    f"targets that can only be queried, hold training recordings as codewords if a version before {_RECORDED_SINCE} "
    "made them; train the filter again to be sure."
)


def describe(card: Mapping[str, Any]) -> str:
    """What the card of a filter records about its codewords, in sentences; empty for a filter without codewords."""
    method, facts = card.get("method"), card.get("codewords")
    if method not in METHODS:
        return ""
    if not isinstance(facts, Mapping) or facts.get("source") not in SOURCES:
        return _UNKNOWN
    if facts["source"] == SYNTHETIC:
        return (
            "The codewords of this filter are synthetic: they were computed, and none of them is a recording."
            + _compared(facts)
        )
    people = f" of {facts['people']} people" if facts.get("people") else ""
    text = (
        f"The codewords of this filter are recordings: they are made of {facts.get('recordings', 'some')} training "
        f"recordings{people} from the corpus {facts.get('corpus', 'of its card')} (licence: "
        f"{facts.get('licence', 'not stated')}). These people can be recognised in what leaves the filter and in the "
        "filter itself, so ask them before you pass either on"
    )
    other = f", or train the filter with --codewords {SYNTHETIC}" if method == METHODS[0] else ""
    return f"{text}{other}.{_compared(facts)}"


def _compared(facts: Mapping[str, Any]) -> str:
    """How similar codewords are to training recordings, where that was measured."""
    highest, between = facts.get("highest_similarity"), facts.get("between_people")
    if not isinstance(highest, float):
        return ""
    text = (
        f" The highest similarity of a codeword to any training recording is {highest:.2f} (the correlation of their "
        "log spectrograms at the best alignment, without the average spectrum)"
    )
    if not isinstance(between, float):
        return f"{text}; the corpus does not name two people to compare this with."
    verdict = "not above" if highest <= between else "above"
    return (
        f"{text}. That is {verdict} what a segment of one person typically has in common with the most similar "
        f"recording of another person, {between:.2f}."
    )
