"""VoxCeleb2: celebrities speak in videos from YouTube.

Utterances are .m4a, which needs ffmpeg, or other sound files of these names; vox2_meta.csv (VoxCeleb2 ID, VGGFace2 ID,
Gender, Set) lies in the folder or above it. There are other voices, music and noise, and the label video says where and
when as much as who. Official split: dev trains and test tests, the V2D and V2T of the papers; no speaker is in both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sottovoce.audio.io import ENDINGS
from sottovoce.audio.m4a import ENDING
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, Skip, read_files, table_near
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.release import Archive, File, Release, one_file
from sottovoce.corpora.table import read_table

SETS = {"train": (1092009, 5994), "test": (36237, 118)}  # utterances, speakers

# As the authors' own training code lists them (clovaai/voxceleb_trainer, lists/fileparts.txt).
_DEV = {
    "aa": "da070494c573e5c0564b1d11c3b20577",
    "ab": "17fe6dab2b32b48abaf1676429cdd06f",
    "ac": "1de58e086c5edf63625af1cb6d831528",
    "ad": "5a043eb03e15c5a918ee6a52aad477f9",
    "ae": "cea401b624983e2d0b2a87fb5d59aa60",
    "af": "fc886d9ba90ab88e7880ee98effd6ae9",
    "ag": "d160ecc3f6ee3eed54d55349531cb42e",
    "ah": "6b84a81b9af72a9d9eecbb3b1f602e65",
}

_ID = "VoxCeleb2 ID"
_SPEAKER = re.compile(r"id\d{5}")
_PARTS = {"dev": "train", "test": "test"}
_GENDERS = {"f": "female", "m": "male"}


def _read(root: Path) -> Manifest:
    """Manifest of the utterances below `root`, with gender and part from vox2_meta.csv or, the part, from the path."""
    known, notes = _metadata(root)

    def describe(path: Path) -> Described:
        *above, speaker, video = ("", *path.absolute().parts)[:-1]
        if not (_SPEAKER.fullmatch(speaker) and path.stem.isdigit()):
            raise Skip("it is not in SPEAKER/VIDEO/NNNNN")
        gender, part = known.get(speaker, ("", ""))
        part = part or next((_PARTS[folder] for folder in above[::-1] if folder in _PARTS), "")
        labels = {"speaker": speaker, "video": video} | ({"gender": gender} if gender else {})
        return labels, part or None

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


CORPUS: Corpus = Corpus(
    name="voxceleb2",
    title="VoxCeleb2",
    homepage="https://mm.kaist.ac.kr/datasets/voxceleb/",
    layout="dev/aac/SPEAKER/VIDEO/NNNNN.m4a and test/aac/... with vox2_meta.csv beside dev and test",
    labels=("gender", "speaker", "video"),
    licence="CC BY 4.0; the copyright of the videos stays with their owners",
    citation="Chung, Nagrani and Zisserman, VoxCeleb2: Deep Speaker Recognition, Interspeech 2018",
    split_rule="official",
    companions=("vox2_meta.csv", "vox2_*.txt"),
    signs=("dev/aac/id*", "test/aac/id*"),
    release=Release(
        "",
        (
            one_file("vox2_meta.csv"),
            one_file("vox2_test_aac.zip", "0d2b3ea430a821c33263b5ea37ede312", folder="test"),
            Archive("vox2_dev_aac.zip", tuple(File(f"vox2_dev_aac_part{part}", md5) for part, md5 in _DEV.items())),
        ),
        access="ask for it at https://mm.kaist.ac.kr/datasets/voxceleb/ and give the address that you get",
    ),
    reader=_read,
)
CORPORA.register(CORPUS.name, CORPUS)
