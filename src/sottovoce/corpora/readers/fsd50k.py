"""FSD50K, the twelve classes of events that RDAL was tried on; a clip that is labelled with two of them is left out.

The tables dev.csv and eval.csv have the columns fname, labels (with commas), mids and, in dev.csv, split. Clips are
CC0, CC BY, CC BY-NC or CC Sampling+ and last 0.3 to 30 s; which label stands for which of RDAL's classes is our reading
of their names. Official split: dev.csv has train and val, eval.csv is the test part.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from sottovoce.audio.io import ENDINGS
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.table import read_table
from sottovoce.corpora.walk import skip_notes, walk
from sottovoce.errors import CorpusError

EVENTS = {  # the dataset's label: RDAL's class
    "Bark": "dog_barking",
    "Shatter": "glass_breaking",
    "Gunshot_and_gunfire": "gun_shot",
    "Cough": "cough",
    "Slam": "slam",
    "Applause": "applause",
    "Dishes_and_pots_and_pans": "dishes_pot_pan",
    "Toilet_flush": "toilet_flush",
    "Meow": "cat_meowing",
    "Doorbell": "doorbell",
    "Crying_and_sobbing": "crying",
    "Drill": "drill",
}
_TABLES = "fsd50k.ground_truth"  # the folder that they are in
_PARTS = {"train": "train", "val": "validation"}


def _read(root: Path) -> Manifest:
    """Manifest of the clips of the twelve classes below `root`; CorpusError where a table or a file is missing."""
    found = walk(root, (*ENDINGS, ".csv"), CORPUS.companions)
    tables = {path.name.lower(): path for path in found.sounds if path.parent.name.lower() == _TABLES}
    sounds = {(path.parent.name.lower(), path.stem): path for path in found.sounds if path.suffix.lower() != ".csv"}
    clips, notes = [], found.notes()
    skipped: dict[str, list[str]] = defaultdict(list)
    for half in ("dev", "eval"):
        rows, more = _rows(root, tables.get(f"{half}.csv"))
        notes += more
        folder = f"FSD50K.{half}_audio"
        for name, labels, part in rows:
            events = {EVENTS[label] for label in labels if label in EVENTS}
            path = sounds.get((folder.lower(), name))
            if len(events) > 1:
                skipped["labelled with two of the classes"].append(f"{folder}/{name}")
            elif events and path is None:
                skipped["listed but not there"].append(f"{folder}/{name}")
            elif events and path is not None:
                part = "test" if half == "eval" else _PARTS.get(part, "train")
                clips.append(Clip(path, f"{folder}/{path.name}", {"event": events.pop()}, part))
    others = len(sounds) - len(clips)
    notes += skip_notes(skipped) + (
        [f"{others} sounds are of none of the twelve classes, or not used"] if others else []
    )
    return assemble(CORPUS, root, clips, notes)


def _rows(root: Path, table: Path | None) -> tuple[list[tuple[str, list[str], str]], list[str]]:
    """Name, labels and part by each row of a table, and notes; CorpusError if it is not there or cannot be read."""
    if table is None:
        raise CorpusError(f"{root} holds no FSD50K.ground_truth with dev.csv and eval.csv; expected {CORPUS.layout}.")
    _, rows, notes, _ = read_table(table, ("fname", "labels"), CORPUS.layout)
    found = [
        (row.get("fname", ""), [label.strip() for label in row.get("labels", "").split(",")], row.get("split", ""))
        for _, row in rows
    ]
    return found, list(notes)


CORPUS: Corpus = Corpus(
    name="fsd50k",
    title="FSD50K (twelve classes)",
    homepage="https://zenodo.org/records/4060432",
    layout="FSD50K.dev_audio, FSD50K.eval_audio and FSD50K.ground_truth with dev.csv and eval.csv",
    labels=("event",),
    licence="CC BY 4.0",
    citation="Fonseca, Favory, Pons, Font and Serra, FSD50K: an Open Dataset of Human-Labeled Sound Events, "
    "IEEE/ACM TASLP 30, 2022",
    split_rule="official",
    companions=("*_clips_info_fsd50k.json", "*_info_fsd50k.json", "pp_pnp_ratings_fsd50k.json"),
    signs=("FSD50K.ground_truth",),
    reader=_read,
)
CORPORA.register(CORPUS.name, CORPUS)
