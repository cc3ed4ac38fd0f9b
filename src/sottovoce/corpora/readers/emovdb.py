"""EmoV-DB, the Emotional Voices Database: four speakers read English sentences in five emotions.

A file has its style (amused, anger, disgust, neutral, sleepiness), the range of its annotation and the number of its
sentence in its name; folders may also be SPEAKER/EMOTION. bea and jenie are women, josh and sam men. josh has no anger
and no disgust; the emotions are not balanced (189 to 523 files of a speaker); what can be downloaded is said to hold
some hundred files fewer than the 7000 of its README. Split by utterance, as in the opt-in paper: same speakers, other
fragments; the same sentence may stand on both sides.
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.layout import Corpus, Described, Skip
from sottovoce.corpora.release import Release, one_file

GENDERS = {"bea": "female", "jenie": "female", "josh": "male", "sam": "male"}
EMOTIONS = {  # by how the word begins: the release says anger and Angry, sleepiness and Sleepy
    "amus": "amused",
    "ang": "angry",
    "disgust": "disgust",
    "neutral": "neutral",
    "sleep": "sleepy",
}

_NAME = re.compile(r"([a-z]+)_\d+-\d+_(\d+)")
_ALL = ("Amused", "Angry", "Disgusted", "Neutral", "Sleepy")
_FOLDERS = {"bea": _ALL, "jenie": _ALL, "josh": ("Amused", "Neutral", "Sleepy"), "sam": _ALL}
_NAMES = [f"{speaker}_{emotion}" for speaker, emotions in _FOLDERS.items() for emotion in emotions]


def _describe(path: Path) -> Described:
    name = _NAME.fullmatch(path.stem.lower())
    style, sentence = name.groups() if name else ("", "")
    emotion = next((emotion for start, emotion in EMOTIONS.items() if style.startswith(start)), None)
    if emotion is None:
        raise Skip("the name is not STYLE_FROM-TO_NNNN")
    nearest = (folder.lower().partition("_")[0] for folder in path.absolute().parent.parts[::-1])
    speaker = next((speaker for speaker in nearest if speaker in GENDERS), None)
    if speaker is None:
        raise Skip(f"no folder names its speaker ({', '.join(GENDERS)})")
    # The number alone would look like a quantity.
    sentence = f"s{int(sentence)}"
    return {"speaker": speaker, "gender": GENDERS[speaker], "emotion": emotion, "sentence": sentence}, None


CORPUS: Corpus = Corpus(
    name="emovdb",
    title="the Emotional Voices Database (EmoV-DB)",
    homepage="https://www.openslr.org/115",
    layout="SPEAKER_EMOTION/STYLE_FROM-TO_NNNN.wav, such as bea_Amused/amused_1-15_0001.wav",
    labels=("emotion", "gender", "sentence", "speaker"),
    licence="non-commercial purposes only: research, teaching, scientific publication and personal experimentation",
    citation="Adigwe, Tits, El Haddad, Ostadabbas and Dutoit, The Emotional Voices Database: Towards Controlling "
    "the Emotion Dimension in Voice Generation Systems, arXiv:1806.09514, 2018",
    split_rule="utterance",
    expected={"clips": 7000, "speakers": 4, "gender": 2, "emotion": 5},
    signs=("bea_*", "jenie_*", "josh_*", "sam_*"),
    release=Release(
        "https://www.openslr.org/resources/115/",
        tuple(one_file(f"{name}.tar.gz", folder=name) for name in _NAMES),
    ),
    describe=_describe,
)
CORPORA.register(CORPUS.name, CORPUS)
