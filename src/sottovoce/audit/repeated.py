"""The attackers of a record beside the same as they are planned again, and how far the scores of two fits agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sottovoce.audit import evidence
from sottovoce.audit.plan import Line
from sottovoce.audit.results import AttackerFacts, Private
from sottovoce.audit.scores import Scores, accuracies
from sottovoce.redaction import visible

# Where the arithmetic of two machines differs, two fits still make the same guess for this share of recordings, and
# their accuracy differs by no more than that: rounding changes guesses either way, a forger changes them one way.
SAME_GUESSES, SAME_ACCURACY = 0.95, 0.01
_SAME_ANSWERS = 0.99  # of recognisers, which are not trained again, and of the floor, which follows from these
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


@dataclass(frozen=True, eq=False)
class RecordedLine:
    """An attacker as a record has it: its `row`, the `place` of its scores, and the `line` that is planned again."""

    task: str
    place: str
    row: AttackerFacts
    line: Line

    @property
    def text(self) -> str:
        """What it is, in words."""
        return f"{self.task}: {_text(self.row.attacker, self.row.knowledge, self.row.input)}"

    @property
    def names(self) -> list[str]:
        """The arrays that hold its scores."""
        return [f"{self.place}/{part}" for part in ("validation", "test")]


def matched(task: str, planned: Sequence[Line], entry: Private) -> tuple[list[RecordedLine], list[str]]:
    """The attackers of an attribute as a record has them, and a sentence for each that only one side has."""
    broke_down = {(failure.attacker, failure.knowledge) for failure in entry.failed}
    known, wrong = [], []
    for side, rows in (("attackers", entry.attackers), ("originals", entry.originals)):
        left = dict(enumerate(rows))
        for line in (line for line in planned if line.side == side):
            run = line.seeds[0]
            name = visible(evidence.title(line.input, run.attacker.value(run.cycles, run.seed).name))
            number = next(iter(left), -1)
            row = left.get(number)
            if row and (row.attacker, row.knowledge, row.input) == (name, line.knowledge, line.input):
                known.append(RecordedLine(task, f"{task}/{side}/{number}", left.pop(number), line))
            elif (run.family, line.knowledge) not in broke_down:
                text = _text(name, line.knowledge, line.input)
                wrong.append(f"{task}: an audit with these settings tries {text}, which the record lacks")
        wrong += [
            f"{task}: the record has {_text(row.attacker, row.knowledge, row.input)}, which an audit with these "
            "settings does not try here"
            for row in left.values()
        ]
    return known, wrong


def compared(line: RecordedLine, again: Scores, scores: Scores) -> tuple[str, bool]:
    """How the scores of an attacker compare with those of the record, in words, and whether they agree."""
    share = min(agreement(name, again, scores) for name in line.names)
    if share == 0.0:
        return "the record holds scores of another shape", False
    labels = again.labels(line.task)
    then, now = (float(accuracies(each[line.names[1]], labels).mean()) for each in (scores, again))
    accuracy = f"accuracy on test {then:.1%} in the record, {now:.1%} here"
    if all(_close(name, again, scores) for name in line.names):
        return f"equal scores, {accuracy}", True
    near = abs(then - now) <= max(SAME_ACCURACY, 1 / len(labels)) + 1e-9  # one recording may be more than that
    return f"the same guess for {share:.1%} of recordings, {accuracy}", near and share >= SAME_GUESSES


def others_differ(names: Iterable[str], again: Scores, scores: Scores) -> list[str]:
    """A sentence for each of the arrays that no attacker decides, and that is not as the record has it."""
    guessed = ("/answers/", "/floor/")
    return [
        f"scores.npz does not hold what these recordings and this system give as {name}"
        for name in names
        if agreement(name, again, scores) < (_SAME_ANSWERS if any(part in name for part in guessed) else 1.0)
    ]


def agreement(name: str, again: Scores, scores: Scores) -> float:
    """The share of recordings of which two arrays say the same; of scores [..., K], that the guess is the same."""
    now, then = again[name], scores.get(name)
    if then is None or now.shape != then.shape or now.dtype.kind != then.dtype.kind:
        return 0.0
    if now.dtype.kind == "f":
        now, then = now.argmax(axis=-1), then.argmax(axis=-1)
    return float((now == then).mean())


def _close(name: str, again: Scores, scores: Scores) -> bool:
    return bool(np.allclose(again[name], scores[name], rtol=_RELATIVE, atol=_ABSOLUTE))


def _text(attacker: str, knowledge: str, input: str) -> str:
    return f"{attacker} ({knowledge}, on {input})"
