"""EmoDB, the Berlin Database of Emotional Speech: ten actors say ten German sentences in seven emotions.

Layout     wav/SSTTTEV.wav: speaker (male: 03 10 11 12 15), sentence, emotion by its German initial, version;
           erkennung.txt (how well listeners knew each emotion) is not read
Licence    free for research; newer releases are said to be CC0: check before shipping anything derived
Citation   Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, Interspeech 2005
Release    535 files, 10 speakers, 7 emotions, 10 sentences
Defects    none known; the emotions are not balanced (46 disgust to 127 anger)
Split      by utterance, as in the paper: the speaker is permitted or private; "speaker" gives unheard speakers
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.layout import Corpus, Skip, read_files, whole_file
from sottovoce.corpora.manifest import Clip, Manifest

CORPUS = Corpus(
    name="emodb",
    title="the Berlin Database of Emotional Speech (EmoDB)",
    homepage="http://emodb.bilderbar.info",
    layout="wav/SSTTTEV.wav, such as wav/03a01Fa.wav",
    labels=("emotion", "gender", "sentence", "speaker"),
    licence="free for research",
    citation="Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, A Database of German Emotional Speech, "
    "Interspeech 2005",
    split_rule="utterance",
    expected={"clips": 535, "speakers": 10, "gender": 2, "emotion": 7, "sentence": 10},
    companions=("erkennung.txt", "erklaerung.txt"),
)

EMOTIONS = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "anxiety",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}
MALE_SPEAKERS = frozenset({"03", "10", "11", "12", "15"})

_NAME = re.compile(r"(\d\d)([a-z]\d\d)([WLEAFTN])[a-z]", re.IGNORECASE)


def read(root: Path) -> Manifest:
    """Manifest of the recordings below `root`."""

    def describe(path: Path) -> Clip:
        name = _NAME.fullmatch(path.stem)
        if name is None:
            raise Skip("the name is not SSTTTEV")
        speaker, sentence, emotion = name.groups()
        gender = "male" if speaker in MALE_SPEAKERS else "female"
        labels = {"speaker": speaker, "gender": gender, "emotion": EMOTIONS[emotion.upper()]}
        return whole_file(root, path, {**labels, "sentence": sentence.lower()})

    return read_files(CORPUS, root, describe)
