"""A corpus: recordings that are named SPEAKER_WORD_NUMBER.wav, such as anna_yes_03.wav."""

from __future__ import annotations

import re
from pathlib import Path

from sottovoce.corpora.layout import Corpus, Described, matched

_NAME = re.compile(r"([a-z]+)_([a-z]+)_\d+")


def _describe(path: Path) -> Described:
    """The labels of a recording, and its part of an official split: here there is none."""
    speaker, word = matched(_NAME, path.stem.lower(), "the name is not SPEAKER_WORD_NUMBER").groups()
    return {"speaker": speaker, "word": word}, None


CORPUS = Corpus(
    name="named",
    title="recordings that are named by speaker and word",
    layout="SPEAKER_WORD_NUMBER.wav, such as anna_yes_03.wav",
    labels=("speaker", "word"),
    licence="unknown: the recordings are the user's own",
    citation="",
    split_rule="utterance",
    describe=_describe,
)
