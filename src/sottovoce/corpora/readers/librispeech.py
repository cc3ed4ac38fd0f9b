"""LibriSpeech: volunteers read English books.

Transcripts lie beside the utterances in SPEAKER-CHAPTER.trans.txt, and SPEAKERS.TXT (reader | sex | subset | minutes |
name) above the subsets; a single subset is read too, with SPEAKERS.TXT in it or above it. The gender is that given by
the reader's account; utterances are long (median 14 s in train); no speaker is in two subsets. Split by speaker, over
all subsets that are there; where they are those of the opt-in paper, train-clean-100 and train-clean-360 against test-
clean (and dev-clean, if it is there, for validation), these are the official parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, Skip, matched, read_files, table_near
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.release import Release, one_file
from sottovoce.corpora.table import read_text

SUBSETS = {  # utterances, speakers
    "dev-clean": (2703, 40),
    "dev-other": (2864, 33),
    "test-clean": (2620, 40),
    "test-other": (2939, 33),
    "train-clean-100": (28539, 251),
    "train-clean-360": (104014, 921),
    "train-other-500": (148688, 1166),
}

PAPER = {"train-clean-100": "train", "train-clean-360": "train", "dev-clean": "validation", "test-clean": "test"}

# https://www.openslr.org/resources/12/md5sum.txt
_ARCHIVES = {  # the subsets of the opt-in paper, and dev-clean for validation: MD5, size in bytes
    "test-clean": ("32fa31d27d2e1cad72775fee3f4849a9", 346663984),
    "dev-clean": ("42e2234ba48799c1f50f24a7926300a1", 337926286),
    "train-clean-100": ("2a93770f6d5c6c964bc36631d331a522", 6387309499),
    "train-clean-360": ("c0e676e450a7ff2f54aeade5171606fa", 23049477885),
}

_NAME = re.compile(r"(\d+)-(\d+)-\d+")
_GENDERS = {"F": "female", "M": "male"}


def _read(root: Path) -> Manifest:
    """Manifest of the utterances below `root`, with the labels that the files beside them allow."""
    genders, notes = _genders(root)
    transcripts: dict[Path, dict[str, str]] = {}

    def describe(path: Path) -> Described:
        name = matched(_NAME, path.stem, "the name is not SPEAKER-CHAPTER-UTTERANCE")
        speaker, chapter = name.groups()
        *_, subset, reader, book, _file = ("", "", *path.absolute().parts)
        if (reader, book) != (speaker, chapter):
            raise Skip("it is not in SUBSET/SPEAKER/CHAPTER")
        labels = {"speaker": speaker, "subset": subset}
        if speaker in genders:
            labels["gender"] = genders[speaker]
        if path.parent not in transcripts:
            transcripts[path.parent] = _transcripts(path.with_name(f"{speaker}-{chapter}.trans.txt"), notes)
        if path.stem in transcripts[path.parent]:
            labels["words"] = transcripts[path.parent][path.stem]
        return labels, None

    return _in_parts(read_files(CORPUS, root, describe, notes, _expected))


def _in_parts(manifest: Manifest) -> Manifest:
    """The same clips, each in its part, where the subsets are those of the paper, one to train and one to test on."""
    subsets = set(manifest.classes("subset"))
    if not (subsets <= PAPER.keys() and {PAPER[subset] for subset in subsets} >= {"train", "test"}):
        return manifest
    return replace(manifest, clips=tuple(replace(clip, part=PAPER[clip.labels["subset"]]) for clip in manifest.clips))


def _expected(clips: Sequence[Clip]) -> Mapping[str, int] | None:
    subsets = {clip.labels["subset"] for clip in clips}
    if not subsets <= SUBSETS.keys():
        return None
    return {
        "clips": sum(SUBSETS[subset][0] for subset in subsets),
        "speakers": sum(SUBSETS[subset][1] for subset in subsets),
    }


def _genders(root: Path) -> tuple[dict[str, str], list[str]]:
    """Gender by speaker from SPEAKERS.TXT in `root` or above it, or none and a note."""
    table = table_near(root, "SPEAKERS.TXT")
    if table is None:
        return {}, ["no label gender, since SPEAKERS.TXT is neither in the folder nor above it"]
    text, notes = read_text(table)
    genders = {}
    for line in text.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if not line.startswith(";") and len(columns) >= 2 and columns[1].upper() in _GENDERS:
            genders[columns[0]] = _GENDERS[columns[1].upper()]
    return genders, notes


def _transcripts(path: Path, notes: list[str]) -> dict[str, str]:
    if not path.is_file():
        return {}
    text, more = read_text(path)
    notes += more
    return {utterance: words.strip() for utterance, _, words in (line.partition(" ") for line in text.splitlines())}


CORPUS: Corpus = Corpus(
    name="librispeech",
    title="LibriSpeech",
    homepage="https://www.openslr.org/12",
    layout="SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-UTTERANCE.flac with SPEAKERS.TXT above the subsets",
    labels=("gender", "speaker", "subset", "words"),
    licence="CC BY 4.0",
    citation="Panayotov, Chen, Povey and Khudanpur, LibriSpeech: an ASR corpus based on public domain audio books, "
    "ICASSP 2015",
    split_rule="speaker",
    companions=("speakers.txt", "books.txt", "chapters.txt", "*.trans.txt"),
    signs=("*/[0-9]*/[0-9]*/*.trans.txt", "[0-9]*/[0-9]*/*.trans.txt"),
    release=Release(
        "https://www.openslr.org/resources/12/",
        tuple(one_file(f"{subset}.tar.gz", *known) for subset, known in _ARCHIVES.items()),
        root="LibriSpeech",
    ),
    reader=_read,
)
CORPORA.register(CORPUS.name, CORPUS)
