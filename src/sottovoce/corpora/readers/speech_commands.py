"""Speech Commands: thousands of people say single words of one second.

Official split: the files that validation_list.txt and testing_list.txt name, the rest trains; a speaker is in one part
alone. Without these lists the clips are split by speaker anew. The long recordings of noise in `_background_noise_` are
named and are no clips.
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, Skip, matched, read_files, table_near
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.release import Release, one_file
from sottovoce.corpora.table import read_text

NOISE = "_background_noise_"

_NAME = re.compile(r"([0-9a-f]+)_nohash_\d+")
_LISTS = {"validation_list.txt": "validation", "testing_list.txt": "test"}


def _read(root: Path) -> Manifest:
    """Manifest of the words below `root`, in the parts of the lists in `root`, above it or in a folder of it."""
    parts, notes = _parts(root)

    def describe(path: Path) -> Described:
        word = path.absolute().parent.name
        if word == NOISE:
            raise Skip("it is noise, and no keyword")
        speaker = matched(_NAME, path.stem, "the name is not WORD/SPEAKER_nohash_N")[1]
        return {"keyword": word, "speaker": speaker}, parts.get(f"{word}/{path.stem}", "train") if parts else None

    return read_files(CORPUS, root, describe, notes)


def _parts(root: Path) -> tuple[dict[str, str], list[str]]:
    """The part of each WORD/FILE, without an ending, that the lists name; none, and a note, where one is missing."""
    parts: dict[str, str] = {}
    notes: list[str] = []
    for name, part in _LISTS.items():
        path = table_near(root, name)
        if path is None:
            return {}, [f"no official split, since {name} is neither in the folder nor above it"]
        text, more = read_text(path)
        parts |= dict.fromkeys((line.strip().rpartition(".")[0] for line in text.splitlines()), part)
        notes += more
    return parts, notes


CORPUS: Corpus = Corpus(
    name="speech-commands",
    title="Speech Commands 0.02",
    homepage="https://arxiv.org/abs/1804.03209",
    layout="WORD/SPEAKER_nohash_N.wav with validation_list.txt and testing_list.txt, such as yes/004ae714_nohash_0.wav",
    labels=("keyword", "speaker"),
    licence="CC BY 4.0",
    citation="Warden, Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition, 2018",
    split_rule="speaker",
    expected={"clips": 105_829, "speakers": 2618, "keyword": 35},
    companions=tuple(_LISTS),
    signs=("*/*_nohash_*",),
    release=Release("https://download.tensorflow.org/data/", (one_file("speech_commands_v0.02.tar.gz"),)),
    reader=_read,
)
CORPORA.register(CORPUS.name, CORPUS)
