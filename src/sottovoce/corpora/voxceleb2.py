"""VoxCeleb2: celebrities speak in videos from YouTube.

Layout     dev/aac/SPEAKER/VIDEO/NNNNN.m4a and test/aac/SPEAKER/VIDEO/NNNNN.m4a, or other sound files of these names;
           vox2_meta.csv (VoxCeleb2 ID, VGGFace2 ID, Gender, Set) in the folder or above it
Licence    CC BY 4.0; the copyright of the videos stays with their owners
Citation   Chung, Nagrani and Zisserman, Interspeech 2018
Release    dev 1092009 utterances of 5994 speakers, test 36237 of 118; no speaker is in both
Defects    M4A, which needs ffmpeg; other voices, music and noise; the label video says where and when as much as who
Split      official: dev trains and test tests, the V2D and V2T of the papers
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sottovoce.audio.io import ENDINGS
from sottovoce.audio.m4a import ENDING
from sottovoce.corpora.layout import Corpus, Skip, read_files, table_near, whole_file
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.table import read_table

CORPUS = Corpus(
    name="voxceleb2",
    title="VoxCeleb2",
    homepage="https://mm.kaist.ac.kr/datasets/voxceleb/",
    layout="dev/aac/SPEAKER/VIDEO/NNNNN.m4a and test/aac/... with vox2_meta.csv beside dev and test",
    labels=("gender", "speaker", "video"),
    licence="CC BY 4.0; the copyright of the videos stays with their owners",
    citation="Chung, Nagrani and Zisserman, VoxCeleb2: Deep Speaker Recognition, Interspeech 2018",
    split_rule="official",
    companions=("vox2_meta.csv", "vox2_*.txt"),
)

SETS = {"train": (1092009, 5994), "test": (36237, 118)}  # utterances, speakers

_ID = "VoxCeleb2 ID"
_SPEAKER = re.compile(r"id\d{5}")
_PARTS = {"dev": "train", "test": "test"}
_GENDERS = {"f": "female", "m": "male"}


def read(root: Path) -> Manifest:
    """Manifest of the utterances below `root`, with gender and part from vox2_meta.csv or, the part, from the path."""
    known, notes = _metadata(root)

    def describe(path: Path) -> Clip:
        *above, speaker, video = ("", *path.absolute().parts)[:-1]
        if not (_SPEAKER.fullmatch(speaker) and path.stem.isdigit()):
            raise Skip("it is not in SPEAKER/VIDEO/NNNNN")
        gender, part = known.get(speaker, ("", ""))
        part = part or next((_PARTS[folder] for folder in above[::-1] if folder in _PARTS), "")
        labels = {"speaker": speaker, "video": video} | ({"gender": gender} if gender else {})
        return whole_file(root, path, labels, part or None)

    return read_files(CORPUS, root, describe, notes, _expected, (*ENDINGS, ENDING))


def _expected(clips: Sequence[Clip]) -> Mapping[str, int] | None:
    parts = {clip.part or "" for clip in clips}
    if not parts <= SETS.keys():
        return None
    return {"clips": sum(SETS[part][0] for part in parts), "speakers": sum(SETS[part][1] for part in parts)}


def _metadata(root: Path) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Gender and part by speaker from vox2_meta.csv in `root` or above it, or none and a note."""
    table = table_near(root, "vox2_meta.csv")
    if table is None:
        return {}, ["no label gender, since vox2_meta.csv is neither in the folder nor above it"]
    _, rows, notes, _ = read_table(table, (_ID, "Gender", "Set"), "VoxCeleb2 ID,VGGFace2 ID,Gender,Set")
    known = {
        row.get(_ID, ""): (_GENDERS.get(row.get("Gender", "").lower(), ""), _PARTS.get(row.get("Set", "").lower(), ""))
        for _, row in rows
    }
    return known, list(notes)
