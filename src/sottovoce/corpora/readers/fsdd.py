"""The Free Spoken Digit Dataset: six men say the ten digits, fifty times each, over a telephone band.

Sampled at 8 kHz, so that there is nothing above 4 kHz; every speaker is male, so that there is no label gender.
Official split: index 0 to 4 of each speaker and digit is the test part.
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, matched
from sottovoce.corpora.release import Release, one_file

_NAME = re.compile(r"(\d)_([A-Za-z]+)_(\d+)")
_TEST_INDICES = 5


def _describe(path: Path) -> Described:
    digit, speaker, index = matched(_NAME, path.stem, "the name is not DIGIT_SPEAKER_INDEX").groups()
    return {"digit": digit, "speaker": speaker.lower()}, "test" if int(index) < _TEST_INDICES else "train"


CORPUS: Corpus = Corpus(
    name="fsdd",
    title="the Free Spoken Digit Dataset",
    homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
    layout="recordings/DIGIT_SPEAKER_INDEX.wav, such as recordings/7_george_0.wav",
    labels=("digit", "speaker"),
    licence="CC BY-SA 4.0",
    citation="Jackson, Souza, Flaks, Pan, Nicolas and Thite, Free Spoken Digit Dataset v1.0.8, 2018",
    split_rule="official",
    expected={"clips": 3000, "speakers": 6, "digit": 10},
    signs=("recordings/[0-9]_*_*",),
    release=Release(
        "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/",
        (one_file("v1.0.9.tar.gz"),),
        root="free-spoken-digit-dataset-1.0.9",
    ),
    describe=_describe,
)
CORPORA.register(CORPUS.name, CORPUS)
