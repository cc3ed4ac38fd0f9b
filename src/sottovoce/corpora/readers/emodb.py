"""EmoDB, the Berlin Database of Emotional Speech: ten actors say ten German sentences in seven emotions.

A file is named SSTTTEV: speaker, sentence, emotion by its German initial, version; erkennung.txt (how well listeners
knew each emotion) is not read. The emotions are not balanced (46 disgust to 127 anger). Newer releases are said to be
CC0: check before shipping anything derived. Split by utterance, as in the opt-in paper: the speaker is permitted or
private; "speaker" tests on other speakers.
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, matched
from sottovoce.corpora.release import Release, one_file

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


def _describe(path: Path) -> Described:
    speaker, sentence, emotion = matched(_NAME, path.stem, "the name is not SSTTTEV").groups()
    gender = "male" if speaker in MALE_SPEAKERS else "female"
    labels = {"speaker": speaker, "gender": gender, "emotion": EMOTIONS[emotion.upper()]}
    return {**labels, "sentence": sentence.lower()}, None


CORPUS: Corpus = Corpus(
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
    signs=("wav/[01][0-9][abAB][0-9][0-9]*",),
    release=Release("http://www.emodb.bilderbar.info/download/", (one_file("download.zip"),)),
    describe=_describe,
)
CORPORA.register(CORPUS.name, CORPUS)
