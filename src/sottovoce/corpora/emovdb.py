"""EmoV-DB, the Emotional Voices Database: four speakers read English sentences in five emotions.

Layout     SPEAKER_EMOTION/STYLE_FROM-TO_NNNN.wav, such as bea_Amused/amused_1-15_0001.wav: style (amused, anger,
           disgust, neutral, sleepiness), range of its annotation, number of the sentence; also SPEAKER/EMOTION/...
Licence    non-commercial: research, teaching, publication and personal experiments
Citation   Adigwe, Tits, El Haddad, Ostadabbas and Dutoit, arXiv:1806.09514, 2018
Release    7000 files by its README, 4 speakers (bea and jenie women, josh and sam men), 5 emotions
Defects    josh has no anger and no disgust; the emotions are not balanced (189 to 523 files of a speaker); what can be
           downloaded is said to hold some hundred files fewer than the README counts
Split      by utterance, as in the paper: same speakers, other fragments; the same sentence may stand on both sides
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.layout import Corpus, Skip, read_files, whole_file
from sottovoce.corpora.manifest import Clip, Manifest

CORPUS = Corpus(
    name="emovdb",
    title="the Emotional Voices Database (EmoV-DB)",
    homepage="https://www.openslr.org/115",
    layout="SPEAKER_EMOTION/STYLE_FROM-TO_NNNN.wav, such as bea_Amused/amused_1-15_0001.wav",
    labels=("emotion", "gender", "sentence", "speaker"),
    licence="non-commercial purposes only: research, teaching, scientific publication and personal experimentation",
    citation="Adigwe, Tits, El Haddad, Ostadabbas and Dutoit, The Emotional Voices Database: Towards Controlling the "
    "Emotion Dimension in Voice Generation Systems, arXiv:1806.09514, 2018",
    split_rule="utterance",
    expected={"clips": 7000, "speakers": 4, "gender": 2, "emotion": 5},
)

GENDERS = {"bea": "female", "jenie": "female", "josh": "male", "sam": "male"}
EMOTIONS = {  # by how the word begins: the release says anger and Angry, sleepiness and Sleepy
    "amus": "amused",
    "ang": "angry",
    "disgust": "disgust",
    "neutral": "neutral",
    "sleep": "sleepy",
}

_NAME = re.compile(r"([a-z]+)_\d+-\d+_(\d+)")


def read(root: Path) -> Manifest:
    """Manifest of the recordings below `root`."""

    def describe(path: Path) -> Clip:
        name = _NAME.fullmatch(path.stem.lower())
        style, sentence = name.groups() if name else ("", "")
        emotion = next((emotion for start, emotion in EMOTIONS.items() if style.startswith(start)), None)
        if emotion is None:
            raise Skip("the name is not STYLE_FROM-TO_NNNN")
        speaker = _speaker(path)
        # The number alone would look like a quantity.
        labels = {"speaker": speaker, "gender": GENDERS[speaker], "emotion": emotion, "sentence": f"s{int(sentence)}"}
        return whole_file(root, path, labels)

    return read_files(CORPUS, root, describe)


def _speaker(path: Path) -> str:
    """Whom the nearest folder names that names one."""
    for folder in path.absolute().parent.parts[::-1]:
        speaker = folder.lower().partition("_")[0]
        if speaker in GENDERS:
            return speaker
    raise Skip(f"no folder names its speaker ({', '.join(GENDERS)})")
