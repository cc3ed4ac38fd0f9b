"""Your own recordings in a folder, as Hugging Face's audiofolder has it.

Either LABEL/*.wav: the sub-folder is the label `label`; or `metadata.csv` or `metadata.jsonl` beside the sounds or
above them, with the column `file_name` and the other columns of a table of clips: see `listing`. Either may stand in
folders train, validation and test, which are then the parts of the split. Official split where there is a column
`split`, or folders for train and test; else as `listing.default_rule`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.labels import gaps
from sottovoce.corpora.layout import PARTS, Corpus, assemble, entries, whole_file, whole_split
from sottovoce.corpora.listing import default_rule, listed
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.table import named
from sottovoce.corpora.walk import skip_notes, walk

_TABLES = ("metadata.csv", "metadata.jsonl")


def _read(root: Path) -> Manifest:
    """Manifest of the sounds below `root`, labelled by the tables among them, else by sub-folder."""
    found = walk(root, companions=_TABLES)
    tables, notes = _tables(root, found.sounds)
    clips, more = _by_tables(root, tables, found.sounds) if tables else _by_sub_folder(root, found.sounds)
    clips, split_notes = whole_split(clips)
    labels = sorted({task for clip in clips for task in clip.labels})
    corpus = replace(CORPUS, split_rule=default_rule(clips))
    return assemble(corpus, root, clips, [*notes, *found.notes(), *more, *split_notes, *gaps(clips, labels)])


def _tables(root: Path, sounds: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """The tables beside the sounds or above them, one for a folder, and which were left aside."""
    tables, notes = [], []
    folders = {root} | {folder for sound in sounds for folder in sound.parents if folder.is_relative_to(root)}
    for folder in sorted(folders):
        here = [path for path in entries(folder) if path.name.lower() in _TABLES and path.is_file()]
        tables += here[:1]
        notes += [f"{path.relative_to(root).as_posix()!r} is not read, since {here[0].name!r} is" for path in here[1:]]
    return tables, notes


def _by_tables(root: Path, tables: Sequence[Path], sounds: Iterable[Path]) -> tuple[list[Clip], list[str]]:
    clips: list[Clip] = []
    notes: list[str] = []
    for table in tables:
        rows, _, more = listed(table, "file_name")
        above = table.parent.relative_to(root)
        clips += [replace(clip, id=(PurePosixPath(above) / clip.id).as_posix()) for clip in rows]
        notes += more
    if not any(clip.part for clip in clips):
        parts = _parts(clip.id for clip in clips)
        if all(_first(clip.id) in parts for clip in clips):
            clips = [replace(clip, part=parts[_first(clip.id)]) for clip in clips]
    known = {clip.path.resolve() for clip in clips}
    others = [sound.relative_to(root).as_posix() for sound in sounds if sound.resolve() not in known]
    return clips, [*notes, *(skip_notes({"not listed in a metadata file": others}) if others else [])]


def _by_sub_folder(root: Path, sounds: Sequence[Path]) -> tuple[list[Clip], list[str]]:
    """Each sound with the first folder on the way to it as its label, below that of the part where there are parts."""
    parts = _parts(sound.relative_to(root).as_posix() for sound in sounds)
    clips: list[Clip] = []
    skipped: dict[str, list[str]] = defaultdict(list)
    deeper = []
    for sound in sounds:
        name = sound.relative_to(root).as_posix()
        *folders, _file = name.split("/")
        part = parts.get(folders[0]) if folders else None
        if parts and folders and part is None:
            skipped[f"in none of the folders of the split ({', '.join(sorted(parts))})"].append(name)
            continue
        labels = folders[1:] if parts else folders
        if not labels:
            where = "in a folder of the split, but" if part else ""
            skipped[f"{where} not in a sub-folder that would be their label".strip()].append(name)
            continue
        deeper += [name] if len(labels) > 1 else []
        clips.append(whole_file(root, sound, {"label": labels[0]}, part))
    return clips, [*skip_notes(skipped), *_doubts(root, clips, deeper)]


def _doubts(root: Path, clips: Sequence[Clip], deeper: Sequence[str]) -> list[str]:
    notes = []
    labels = sorted({clip.labels["label"] for clip in clips})
    if deeper:
        notes.append(f"files that lie deeper than LABEL/FILE, labelled by the first folder: {named(deeper)}")
    if len(labels) == 1 and deeper:
        notes.append(f"all sounds lie in {labels[0]!r}: if its folders are the labels, name folder:{root / labels[0]}")
    return notes


def _first(name: str) -> str:
    """The first folder on the way to a file, "" where it is in none."""
    return name.partition("/")[0] if "/" in name else ""


def _parts(names: Iterable[str]) -> Mapping[str, str]:
    """The folders that are parts of a split, and which, where there are such folders: else they may be labels.

    They are where one trains and another tests or validates, or where there are no other folders.
    """
    folders = {_first(name) for name in names} - {""}
    parts = {folder: PARTS[folder.lower()] for folder in folders if folder.lower() in PARTS}
    complete = "train" in parts.values() and len(set(parts.values())) > 1
    return parts if complete or len(parts) == len(folders) else {}


CORPUS: Corpus = Corpus(
    name="folder",
    title="a folder of sounds",
    homepage="",
    layout="sub-folders that are the labels, LABEL/*.wav, or metadata.csv (file_name,LABEL,...) beside the sounds; "
    "either may stand in folders train, validation and test",
    labels=("label",),
    licence="unknown: the recordings are the user's own",
    citation="",
    split_rule="utterance",
    companions=_TABLES,
    reader=_read,
)
CORPORA.register(CORPUS.name, CORPUS)
