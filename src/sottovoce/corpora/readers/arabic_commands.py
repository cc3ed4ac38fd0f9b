"""The Arabic Speech Commands Dataset: thirty people say forty words, ten times each, in clips of one second.

Split by speaker. The table clips.csv says what the names say as well, and is not needed.
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, matched

_NAME = re.compile(r"(\d+)_NO_\d+")


def _describe(path: Path) -> Described:
    speaker = matched(_NAME, path.stem, "the name is not WORD/SPEAKER_NO_TAKE")[1]
    return {"keyword": path.absolute().parent.name, "speaker": speaker}, None


CORPUS: Corpus = Corpus(
    name="arabic-commands",
    title="the Arabic Speech Commands Dataset",
    homepage="https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset",
    layout="WORD/SPEAKER_NO_TAKE.wav, such as yes/00000001_NO_01.wav",
    labels=("keyword", "speaker"),
    licence="CC BY 4.0",
    citation="Ghandoura, Hjabo and Al Dakkak, Building and benchmarking an Arabic Speech Commands dataset for small-"
    "footprint keyword spotting, Engineering Applications of Artificial Intelligence 102, 2021",
    split_rule="speaker",
    expected={"clips": 12_000, "speakers": 30, "keyword": 40},
    companions=("clips.csv", "train.csv", "validation.csv", "test.csv", "dataset.csv"),
    signs=("*/*_NO_*",),
    describe=_describe,
)
CORPORA.register(CORPUS.name, CORPUS)
