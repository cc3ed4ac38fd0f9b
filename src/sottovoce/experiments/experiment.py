"""An experiment as data: what it answers, its runs, the function that does one of them, its table and its figures."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.stats import t

Result = Mapping[str, Any]
Part = TypeVar("Part")
Column = tuple[str, Callable[[Any], str]]  # a heading, and what stands under it for one line


@dataclass(frozen=True)
class Place:
    """Where runs find corpora and keep what they made, and how many processes or threads one run may use."""

    corpora: Path
    out: Path
    kept: Path
    workers: int = 1

    @property
    def shared(self) -> Path:
        """The folder of what several runs and experiments need, such as targets."""
        return self.kept.parent / "shared"

    def spec(self, corpus: str) -> str:
        """The corpus NAME:FOLDER with its folder below that of the corpora; `voices` needs none."""
        name, colon, folder = corpus.partition(":")
        return f"{name}:{self.corpora / folder}" if colon else name


class Corpus(str):
    """A corpus as NAME:FOLDER, the folder below that of all corpora; among settings it says what a run reads."""

    @property
    def short(self) -> str:
        """Its name."""
        return self.partition(":")[0]


class SharedJob:
    """Hashable settings of work whose result several runs use; as a field of a run's settings it is done before."""

    def make(self, place: Place) -> Any:
        """Do the work unless it is done."""
        raise NotImplementedError


@dataclass(frozen=True)
class RunSettings:
    """The settings of one run; `seed` is that of all of its randomness but the split."""

    seed: int = field(default=0, kw_only=True)


def parts(settings: Any, kind: type[Part]) -> Iterator[Part]:
    """Everything of a kind among settings, the innermost first."""
    if is_dataclass(settings):
        for each in fields(settings):
            yield from parts(getattr(settings, each.name), kind)
    elif isinstance(settings, tuple):
        for value in settings:
            yield from parts(value, kind)
    if isinstance(settings, kind):
        yield settings


def digest(settings: Any) -> str:
    """The name under which is kept what these settings lead to."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]


class Cells(list[str]):
    """A finished line of a table."""


@dataclass(frozen=True)
class Table:
    """A Markdown table: `lines` groups results into what the columns take, or `Cells`."""

    columns: Sequence[Column]
    lines: Callable[[Sequence[Result]], Iterable[Any]] = lambda results: results
    caption: Callable[[Sequence[Result]], str] = lambda results: ""

    def markdown(self, results: Sequence[Result]) -> str:
        """The caption and the table of the results of runs; columns in which nothing stands are left out."""
        rows = [
            line if isinstance(line, Cells) else [cell(line) for _, cell in self.columns]
            for line in self.lines(results)
        ]
        used = [i for i in range(len(self.columns)) if not rows or any(row[i] for row in rows)]
        heads = [[self.columns[i][0] for i in used], ["---"] * len(used)]
        text = "\n".join(f"| {' | '.join(row)} |" for row in [*heads, *([row[i] for i in used] for row in rows)])
        caption = self.caption(results)
        return f"{caption}\n\n{text}" if caption else text


@dataclass(frozen=True)
class Experiment:
    """What `sottovoce experiment NAME` does.

    `runs` by preset; `perform` does one run and returns a table that JSON can hold. `figures` are SVGs by what follows
    the name of the experiment in their file's name. Experiments of one `shelf` share their runs. Runs that are not
    `side_by_side` are done one after the other with all workers. `beside`: what is kept goes beside the folder that is
    written, which only gets what the runs put there.
    """

    name: str
    question: str
    cost: str
    runs: Mapping[str, Sequence[RunSettings]]
    perform: Callable[[Any, Place], dict[str, Any]]
    table: Table
    figures: Mapping[str, Callable[[Sequence[Result]], bytes]] = field(default_factory=dict)
    shelf: str = ""
    side_by_side: bool = True
    beside: bool = False


def grouped(results: Iterable[Part], key: Callable[[Part], Any]) -> dict[Any, list[Part]]:
    """Results by key, in the order of their first occurrence."""
    groups: dict[Any, list[Part]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def means(path: str, scale: float = 1.0, digits: int = 1) -> Callable[[Sequence[Result]], str]:
    """A cell: the mean over runs of the number at a path of keys, with dots between them."""

    def cell(runs: Sequence[Result]) -> str:
        values: list[Any] = list(runs)
        for key in path.split("."):
            values = [value[key] for value in values]
        return mean([scale * value for value in values], digits)

    return cell


def percent(*scores: float) -> str:
    """Scores side by side."""
    return " / ".join(f"{100 * score:.1f}" for score in scores)


def interval(score: Result) -> str:
    """A score and its interval."""
    return f"{percent(score['score'])} ({percent(score['low'])} to {percent(score['high'])})"


def mean(values: Sequence[float], digits: int = 1) -> str:
    """A mean and half of its 95 % interval (Student), over seeds; of two, whose interval says nothing, the range."""
    middle = float(np.mean(values))
    if len(values) < 2:
        return f"{middle:.{digits}f}"
    if len(values) == 2:
        return f"{middle:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
    half = float(t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{middle:.{digits}f} ± {half:.{digits}f}"
