"""FSD50K, the twelve classes of events that RDAL was tried on; a clip that is labelled with two of them is left out.

Layout     FSD50K.dev_audio/NUMBER.wav, FSD50K.eval_audio/NUMBER.wav, FSD50K.ground_truth/dev.csv and eval.csv
           (fname, labels with commas, mids, and in dev.csv split)
Licence    CC BY 4.0 as a whole (clips CC0, CC BY, CC BY-NC or CC Sampling+)
Citation   Fonseca, Favory, Pons, Font and Serra, FSD50K, IEEE/ACM TASLP 30, 2022
Release    51197 clips, 200 classes, of which twelve are read
Defects    which label stands for which of RDAL's classes is our reading of their names; clips last 0.3 to 30 s
Split      official: dev.csv has train and val, eval.csv is the test part
"""

from __future__ import annotations

import csv
from pathlib import Path

from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.errors import CorpusError

CORPUS = Corpus(
    name="fsd50k",
    title="FSD50K (twelve classes)",
    homepage="https://zenodo.org/records/4060432",
    layout="FSD50K.dev_audio, FSD50K.eval_audio and FSD50K.ground_truth with dev.csv and eval.csv",
    labels=("event",),
    licence="CC BY 4.0",
    citation="Fonseca, Favory, Pons, Font and Serra, FSD50K: an Open Dataset of Human-Labeled Sound Events, "
    "IEEE/ACM TASLP 30, 2022",
    split_rule="official",
)

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
_PARTS = {"train": "train", "val": "validation"}


def read(root: Path) -> Manifest:
    """Manifest of the clips of the twelve classes below `root`; CorpusError where a table or a file is missing."""
    clips, left_out = [], 0
    for half in ("dev", "eval"):
        for row in _rows(root / "FSD50K.ground_truth" / f"{half}.csv"):
            events = {EVENTS[label] for label in row["labels"].split(",") if label in EVENTS}
            left_out += len(events) > 1
            if len(events) != 1:
                continue
            name = f"FSD50K.{half}_audio/{row['fname']}.wav"
            part = "test" if half == "eval" else _PARTS.get(row.get("split", ""), "train")
            clips.append(Clip(root / name, name, {"event": events.pop()}, part))
    notes = [f"{left_out} clips left out, since they are labelled with two of the classes"] if left_out else []
    return assemble(CORPUS, root, clips, notes)


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise CorpusError(f"{table} cannot be read ({error.strerror}); expected {CORPUS.layout}.") from error
    if rows and not {"fname", "labels"} <= rows[0].keys():
        raise CorpusError(f"{table} has the columns {', '.join(rows[0])}; expected fname and labels: get it again.")
    return rows
