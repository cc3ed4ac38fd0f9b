"""The Free Spoken Digit Dataset: six men say the ten digits, fifty times each, over a telephone band.

Layout     recordings/DIGIT_SPEAKER_INDEX.wav
Licence    CC BY-SA 4.0
Citation   Jackson, Souza, Flaks, Pan, Nicolas and Thite, Free Spoken Digit Dataset v1.0.8, 2018
Release    3000 files, 6 speakers, 10 digits
Defects    8 kHz, so nothing above 4 kHz; every speaker is male, so there is no label gender
Split      official: index 0 to 4 of each speaker and digit is the test part
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.layout import Corpus, Skip, read_files, whole_file
from sottovoce.corpora.manifest import Clip, Manifest

CORPUS = Corpus(
    name="fsdd",
    title="the Free Spoken Digit Dataset",
    homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
    layout="recordings/DIGIT_SPEAKER_INDEX.wav, such as recordings/7_george_0.wav",
    labels=("digit", "speaker"),
    licence="CC BY-SA 4.0",
    citation="Jackson, Souza, Flaks, Pan, Nicolas and Thite, Free Spoken Digit Dataset v1.0.8, 2018",
    split_rule="official",
    expected={"clips": 3000, "speakers": 6, "digit": 10},
)

_NAME = re.compile(r"(\d)_([A-Za-z]+)_(\d+)")
_TEST_INDICES = 5


def read(root: Path) -> Manifest:
    """Manifest of the recordings below `root`."""

    def describe(path: Path) -> Clip:
        name = _NAME.fullmatch(path.stem)
        if name is None:
            raise Skip("the name is not DIGIT_SPEAKER_INDEX")
        digit, speaker, index = name[1], name[2].lower(), name[3]
        part = "test" if int(index) < _TEST_INDICES else "train"
        return whole_file(root, path, {"digit": digit, "speaker": speaker}, part)

    return read_files(CORPUS, root, describe)
