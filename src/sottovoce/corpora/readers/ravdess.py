"""RAVDESS, the speech part: 24 actors say two sentences in eight emotions.

A name holds modality (03 = sound only), vocal channel (01 = speech), emotion, intensity, statement, repetition and
actor (odd = male). Neutral has one intensity and therefore half the clips of the others. One of the release's 1440
files is a byte-for-byte duplicate; there is about 1 s of silence at each end; the recordings are quiet. Split by
utterance, as in the opt-in paper: the speaker is permitted or private; "speaker" tests on other speakers.
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, Skip, matched
from sottovoce.corpora.release import Release, one_file

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "kids", "02": "dogs"}  # "Kids are talking by the door", "Dogs are sitting by the door"

_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-\d\d-(\d\d)")


def _describe(path: Path) -> Described:
    name = matched(_NAME, path.stem, "the name is not MM-VC-EE-II-SS-RR-AA")
    modality, channel, emotion, intensity, statement, actor = name.groups()
    if modality != "03" or channel != "01":
        raise Skip("not a sound-only recording of speech (03-01)")
    if emotion not in EMOTIONS or intensity not in INTENSITIES or statement not in STATEMENTS:
        raise Skip("the name has an unknown code")
    return {
        "speaker": actor,
        "gender": "male" if int(actor) % 2 else "female",
        "emotion": EMOTIONS[emotion],
        "intensity": INTENSITIES[intensity],
        "statement": STATEMENTS[statement],
    }, None


CORPUS: Corpus = Corpus(
    name="ravdess",
    title="RAVDESS (speech)",
    homepage="https://zenodo.org/records/1188976",
    layout="Actor_NN/MM-VC-EE-II-SS-RR-AA.wav, such as Actor_01/03-01-01-01-01-01-01.wav",
    labels=("emotion", "gender", "intensity", "speaker", "statement"),
    licence="CC BY-NC-SA 4.0",
    citation="Livingstone and Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song, "
    "PLoS ONE 13(5): e0196391, 2018",
    split_rule="utterance",
    expected={"clips": 1439, "speakers": 24, "gender": 2, "emotion": 8, "intensity": 2, "statement": 2},
    signs=("Actor_[0-9][0-9]",),
    release=Release(
        "https://zenodo.org/records/1188976/files/",
        (one_file("Audio_Speech_Actors_01-24.zip", "bc696df654c87fed845eb13823edef8a", 208468073),),
    ),
    describe=_describe,
)
CORPORA.register(CORPUS.name, CORPUS)
