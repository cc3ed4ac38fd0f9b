"""Answers as data: what a codebook filter lets through, as rows of time, task and class instead of sound.

A row holds a code by its name, so rows tell an application exactly what the codewords would: as much, and at the same
time. A task that is not permitted has no rows.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.spectrum import SEGMENT_S, Spectrum, Wave
from sottovoce.errors import ModelError
from sottovoce.models.codebook import Codebook
from sottovoce.runtime.codebook import REVOKED
from sottovoce.runtime.engine import Engine
from sottovoce.runtime.stream import FeatureStream

FORMATS = ("csv", "jsonl")
COLUMNS = ("start_s", "end_s", "task", "class")


class Label(NamedTuple):
    """The answer of one permitted task for one block of sound, from `start_s` to `end_s` seconds.

    `answer` is the class, or None where the block holds nothing of what is permitted.
    """

    start_s: float
    end_s: float
    task: str
    answer: str | None


class LabelStream:
    """Takes sound at `sample_rate` Hz, and gives rows for each block once it is complete; see `Filter.labels`.

    The `engine` answers by codes, as `Engine.answers` has it; `names` are those of the codes of each task from 1 on.
    """

    def __init__(self, engine: Engine, names: Mapping[str, Sequence[str]], sample_rate: int) -> None:
        self._codes = FeatureStream(engine, sample_rate)
        self._names, self._block, self._constant = names, engine.block_segments, engine.constant_blocks
        self._segments = 0  # that were answered for

    @property
    def latency_samples(self) -> int:
        """How much must follow a sample before its rows are there, at the input rate."""
        return self._codes.latency_samples

    def feed(self, samples: Wave) -> list[Label]:
        """The rows of the blocks that are complete once `samples` [T] have come."""
        return self._rows(self._codes.feed(samples))

    def flush(self) -> list[Label]:
        """The rows of the rest; the next samples begin a new sound, at 0 s."""
        rows = self._rows(self._codes.flush())
        self._segments = 0
        return rows

    def permitting(self, tasks: Sequence[str]) -> None:
        """Consent for these tasks alone: what is revoked ends at once, consent begins with the next whole block."""
        self._codes.permitting(tasks)

    def _rows(self, codes: Spectrum) -> list[Label]:
        """The rows of codes [T, segments], which begin with a block."""
        rows = []
        for start in range(0, codes.shape[1], self._block):
            block = codes[:, start : start + self._block]
            length = self._constant * self._block or block.shape[1]  # of a constant answer, no more is known
            rows += self._answers(block[:, 0].astype(np.int64).tolist(), self._segments, self._segments + length)
            self._segments += length
        return rows

    def _answers(self, codes: Sequence[int], start: int, end: int) -> list[Label]:
        times = round(start * SEGMENT_S, 2), round(end * SEGMENT_S, 2)
        answers = zip(self._names.items(), codes, strict=True)
        return [
            Label(*times, task, names[code - 1] if code else None) for (task, names), code in answers if code != REVOKED
        ]


def code_names(codebook: Codebook, card: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The names of the codes of each task, from 1 on, by the classes that the card of a filter names.

    Where several codes stand for the same class most of all, they are numbered. ModelError for a card without classes.
    """
    return {task: _numbered(task, table, card) for task, table in zip(codebook.tasks, codebook.centres, strict=True)}


def _numbered(task: str, centres: NDArray[np.float32], card: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the codes with these centres [K, C]."""
    listed = card.get("classes")
    classes = listed.get(task) if isinstance(listed, Mapping) else None
    if not isinstance(classes, list) or [*map(type, classes)] != [str] * centres.shape[1]:
        raise ModelError(
            f"card.json names no {centres.shape[1]} classes of {task}, so its codes have no names; train the filter "
            "again."
        )
    nearest = [classes[index] for index in centres.argmax(axis=1)]
    return tuple(
        f"{name} {nearest[: at + 1].count(name)}" if nearest.count(name) > 1 else name
        for at, name in enumerate(nearest)
    )


def written(rows: Iterable[Label], format_: str) -> str:
    """Rows as the lines of a CSV file, without its header, or as JSON lines; no class is an empty field, or null."""
    if format_ == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()
    return "".join(f"{json.dumps(row)}\n" for row in tables(rows))


def tables(rows: Iterable[Label]) -> list[dict[str, Any]]:
    """Rows as tables for JSON."""
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def header(format_: str) -> str:
    """The first line of a CSV file; nothing before JSON lines."""
    return ",".join(COLUMNS) + "\n" if format_ == "csv" else ""
