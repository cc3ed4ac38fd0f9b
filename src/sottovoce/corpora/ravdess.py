"""RAVDESS, the speech part: 24 actors say two sentences in eight emotions.

Layout     Actor_NN/MM-VC-EE-II-SS-RR-AA.wav: modality (03 = sound only), vocal channel (01 = speech), emotion,
           intensity, statement, repetition, actor (odd = male)
Licence    CC BY-NC-SA 4.0
Citation   Livingstone and Russo, PLoS ONE 13(5): e0196391, 2018, doi:10.1371/journal.pone.0196391
Release    1440 files, 24 speakers, 8 emotions; neutral has one intensity and therefore half the clips of the others
Defects    one byte-for-byte duplicate in the release, so 1439 clips; about 1 s of silence at each end; quiet
Split      by utterance, as in the paper: the speaker is permitted or private; "speaker" gives unheard speakers
"""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.layout import Corpus, Skip, read_files, whole_file
from sottovoce.corpora.manifest import Clip, Manifest

CORPUS = Corpus(
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
)

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

_NAME = re.compile(r"\d\d(-\d\d){6}")


def read(root: Path) -> Manifest:
    """Manifest of the speech files below `root`; songs and videos are skipped and noted."""

    def describe(path: Path) -> Clip:
        return whole_file(root, path, _labels(path.stem))

    return read_files(CORPUS, root, describe)


def _labels(name: str) -> dict[str, str]:
    if not _NAME.fullmatch(name):
        raise Skip("the name is not MM-VC-EE-II-SS-RR-AA")
    modality, channel, emotion, intensity, statement, _repetition, actor = name.split("-")
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
    }
