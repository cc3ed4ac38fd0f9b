"""The part of results.json on words."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sottovoce.audit.results_base import Failure, Interval, Strict

WordsVerdict = Literal["not shown", "leaks"]


class WordsFacts(Strict):
    """Who wrote down what was said."""

    recogniser: str
    recordings: int = Field(description="of the test part, drawn at random; 0 where the recogniser broke down")
    failed: list[Failure] = Field(default=[])


class Recognised(Strict):
    """What a recogniser wrote down, against what was said."""

    error_rate: Interval = Field(description="word errors per spoken word; above 1 where it writes more than was said")
    recovered: Interval = Field(description="share of the content words that stand in what it wrote")


class Words(WordsFacts):
    """Whether what was said can be recognised; all but the facts are null where the recogniser broke down."""

    original: Recognised | None = None
    obfuscated: Recognised | None = None
    floor: Interval | None = Field(None, description="share of content words that is guessed without the sound")
    guess: str = Field("", description="the guess of the floor, in words")
    leakage: Interval | None = Field(None, description="share of content words recovered beyond the floor")
    verdict: WordsVerdict | None = None
