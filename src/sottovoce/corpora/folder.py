"""Your own recordings in a folder, as Hugging Face's audiofolder has it.

Layout     LABEL/*.wav: the sub-folder is the label `label`; or `metadata.csv` beside the sounds, with the column
           `file_name` and the other columns of a CSV file of clips
Licence    yours to know
Split      official where metadata.csv has a column `split`; else as csv_file
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sottovoce.corpora.csv_file import default_rule, read_table
from sottovoce.corpora.layout import Corpus, Skip, assemble, named, read_files, sound_files, whole_file
from sottovoce.corpora.manifest import Clip, Manifest

CORPUS = Corpus(
    name="folder",
    title="a folder of sounds",
    homepage="",
    layout="sub-folders that are the labels, LABEL/*.wav, or metadata.csv (file_name,LABEL,...) beside the sounds",
    labels=("label",),
    licence="unknown: the recordings are the user's own",
    citation="",
    split_rule="utterance",
)


def read(root: Path) -> Manifest:
    """Manifest of the sounds below `root`, labelled by metadata.csv where it is there, else by sub-folder."""
    table = root / "metadata.csv"
    if not table.is_file():
        return read_files(CORPUS, root, lambda path: _by_sub_folder(root, path))
    clips = read_table(table, "file_name")
    return assemble(replace(CORPUS, split_rule=default_rule(clips)), root, clips, _unlisted(root, clips))


def _by_sub_folder(root: Path, path: Path) -> Clip:
    label, *rest = path.relative_to(root).parts
    if not rest:
        raise Skip("not in a sub-folder that would be their label")
    return whole_file(root, path, {"label": label})


def _unlisted(root: Path, clips: Sequence[Clip]) -> list[str]:
    listed = {clip.path.resolve() for clip in clips}
    others = [path.relative_to(root).as_posix() for path in sound_files(root) if path.resolve() not in listed]
    return [f"{len(others)} files skipped, not listed in metadata.csv: {named(others)}"] if others else []
