"""ESC-10: ten classes of environmental sounds, without speech.

Layout     NNN - CLASS/FOLD-SOURCE-TAKE.ogg, such as "001 - Dog bark/1-100032-A.ogg"
Licence    CC BY 3.0 (clips CC0 or CC BY)
Citation   Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015
Release    400 files of 5 s, 10 classes, 5 folds
Defects    short sounds are padded with digital silence to 5 s
Split      official: folds 1 to 3 train, fold 4 is validation, fold 5 test; takes of one source share a fold
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.layout import Corpus, Skip, read_files, whole_file
from sottovoce.corpora.manifest import Clip, Manifest

CORPUS = Corpus(
    name="esc10",
    title="ESC-10",
    homepage="https://github.com/karolpiczak/ESC-10",
    layout="NNN - CLASS/FOLD-SOURCE-TAKE.ogg, such as '001 - Dog bark/1-100032-A.ogg'",
    labels=("event", "fold"),
    licence="CC BY 3.0",
    citation="Piczak, ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015",
    split_rule="official",
    expected={"clips": 400, "event": 10, "fold": 5},
)
FOLDS = 5

_FOLDER = re.compile(r"\d{3} - (.+)")
_FILE = re.compile(r"([1-5])-\d+-[A-Z]", re.IGNORECASE)


def part_of(fold: int, turn: int = 0) -> str:
    """The part that a fold, 1 to 5, belongs to; each `turn` moves test and validation on by one fold."""
    place = (fold - turn - 1) % FOLDS
    return {FOLDS - 2: "validation", FOLDS - 1: "test"}.get(place, "train")


def read(root: Path) -> Manifest:
    """Manifest of the sounds below `root`."""

    def describe(path: Path) -> Clip:
        folder, name = _FOLDER.fullmatch(path.parent.name), _FILE.fullmatch(path.stem)
        if folder is None or name is None:
            raise Skip("it is not NNN - CLASS/FOLD-SOURCE-TAKE")
        event = folder[1].lower().replace(" ", "_")
        return whole_file(root, path, {"event": event, "fold": name[1]}, part_of(int(name[1])))

    return read_files(CORPUS, root, describe)
