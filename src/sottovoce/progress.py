"""Progress of long work on standard error, with an estimate of the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from sottovoce import terminal

Result = TypeVar("Result")
Report = Callable[[int, int, str], None]  # steps done, steps in all, note


class Progress:
    """Call it with (steps done, steps in all, a note); on a terminal one line, elsewhere a line now and then.

    A note of no steps at all has a line of its own.
    """

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.began = self.shown = time.monotonic()
        self.done = self.total = 0
        self.skipped = 0  # steps that were there already when the work began

    def __call__(self, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if total != self.total or done != self.done + 1:  # other work, or work that resumes
            self.total, self.began, self.skipped = total, now, done - 1
        self.done = done
        if 0 < done < total and now - self.shown < (0.2 if self.terminal else 10.0):
            return
        self.shown = now
        line = f"{done}/{total}  {self._left(done, now)}{note}" if total else note
        end = "\n" if done == total or not self.terminal else ""
        terminal.note(
            f"\r\x1b[K{terminal.printable(line)}{end}" if self.terminal else f"{terminal.printable(line)}{end}"
        )

    def _left(self, done: int, now: float) -> str:
        """How long it will take still, as soon as two steps were seen."""
        seen = done - self.skipped - 1
        return f"{duration((now - self.began) / seen * (self.total - done))} left  " if seen > 0 else ""


def duration(seconds: float) -> str:
    """Seconds as text, in minutes or hours where they are many."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def silent(done: int, total: int, note: str) -> None:
    """Reports nothing: the lines of many works side by side would be a tangle."""


def last_line(done: int, total: int, note: str) -> None:
    """Reports only how each work ended."""
    if done == total:
        terminal.say(note)


def counted(results: Iterable[Result], total: int, note: str) -> Iterator[Result]:
    """The results of `total` long works as they come, each reported with how long the rest may take."""
    report = Progress()
    for done, result in enumerate(results, start=1):
        report(done, total, note)
        yield result
