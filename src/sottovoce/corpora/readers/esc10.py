"""ESC-10: ten classes of environmental sounds, without speech, in five folds.

Short sounds are padded with digital silence to 5 s. Official split: folds 1 to 3 train, fold 4 is validation, fold 5
test; takes of one source share a fold.
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, matched

FOLDS = 5

_NAME = re.compile(r"\d{3} - ([^/]+)/([1-5])-\d+-[A-Za-z]")


def part_of(fold: int, turn: int = 0) -> str:
    """The part that a fold, 1 to 5, belongs to; each `turn` moves test and validation on by one fold."""
    place = (fold - turn - 1) % FOLDS
    return {FOLDS - 2: "validation", FOLDS - 1: "test"}.get(place, "train")


def _describe(path: Path) -> Described:
    place = f"{path.parent.name}/{path.stem}"
    event, fold = matched(_NAME, place, "it is not NNN - CLASS/FOLD-SOURCE-TAKE").groups()
    return {"event": event.lower().replace(" ", "_"), "fold": fold}, part_of(int(fold))


CORPUS: Corpus = Corpus(
    name="esc10",
    title="ESC-10",
    homepage="https://github.com/karolpiczak/ESC-10",
    layout="NNN - CLASS/FOLD-SOURCE-TAKE.ogg, such as '001 - Dog bark/1-100032-A.ogg'",
    labels=("event", "fold"),
    licence="CC BY 3.0",
    citation="Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015",
    split_rule="official",
    expected={"clips": 400, "event": 10, "fold": 5},
    signs=("[0-9][0-9][0-9] - *",),
    describe=_describe,
)
CORPORA.register(CORPUS.name, CORPUS)
