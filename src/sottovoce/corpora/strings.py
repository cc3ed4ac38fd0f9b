"""Digit strings: recordings of the Free Spoken Digit Dataset joined with pauses, three to seven digits of one speaker.

Layout     the folder of fsdd: recordings/DIGIT_SPEAKER_INDEX.wav or .flac; the strings are made at the first use
Licence    CC BY-SA 4.0, as the recordings
Citation   Jackson, Souza, Flaks, Pan, Nicolas and Thite, Free Spoken Digit Dataset v1.0.8, 2018
Release    960 strings of 6 speakers: 600 to train, 120 to validate, 240 to test, as many of each speaker
Defects    joined, not spoken at a stretch: no digit colours its neighbour; 8 kHz; every speaker is male; a recording of
           the test part is heard in about four strings
Split      official: index 0 to 4 is the test part, 5 to 9 validation, the rest train; no recording is in two parts
Digits and pauses are drawn independently of the speaker: a transcript says nothing about who spoke.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sottovoce.audio import io, writer
from sottovoce.audio.level import normalise
from sottovoce.audio.spectrum import Wave
from sottovoce.corpora import fsdd
from sottovoce.corpora.csv_file import listed
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.store import build_once, cache_folder
from sottovoce.errors import CorpusError

VERSION = 1  # of everything below that is heard

STRINGS: Mapping[str, int] = {"train": 600, "validation": 120, "test": 240}
RATE = 8000  # Hz, as the recordings
FEWEST, MOST = 3, 7  # digits of a string
PAUSE_S = (0.05, 0.4)  # between two digits
NOISE_DB = -45.0  # under the level of the string, all through it: what is joined shall not show as digital silence

CORPUS = Corpus(
    name="strings",
    title="strings of the Free Spoken Digit Dataset's digits",
    homepage=fsdd.CORPUS.homepage,
    layout=fsdd.CORPUS.layout,
    labels=("digits", "speaker"),
    licence=fsdd.CORPUS.licence,
    citation=fsdd.CORPUS.citation,
    split_rule="official",
    expected={"clips": sum(STRINGS.values()), "speakers": 6},
)

_VALIDATION_INDICES = range(5, 10)
_EDGE_S = 0.1
_COLUMNS = ("file_name", "speaker", "digits", "split")


class Plan(NamedTuple):
    """One string before it is heard: the clips that are joined, and the pauses in s before each and after the last."""

    speaker: str
    part: str
    clips: tuple[Clip, ...]
    pauses_s: tuple[float, ...]

    @property
    def digits(self) -> str:
        """The transcript, such as "3 1 4"."""
        return " ".join(clip.labels["digit"] for clip in self.clips)


def part_of(clip: Clip) -> str:
    """The part of the strings that a recording of fsdd is used for: train, validation or test."""
    index = int(clip.path.stem.rpartition("_")[2])
    return "validation" if index in _VALIDATION_INDICES else clip.part or "train"


def read(root: Path, cache: Path | None = None, seed: int = 0) -> Manifest:
    """Manifest of the strings, joined in `cache` from the recordings below `root` unless they are there.

    Raises CorpusError when a speaker has no recording in one of the parts, or the disk fails.
    """
    recordings = fsdd.read(root)
    parent = (cache_folder() if cache is None else cache) / "strings"
    name = f"{recordings.digest[:32]}-{seed}-{VERSION}"
    notes = [*recordings.notes]
    folder = build_once(parent / name, lambda unfinished: build(unfinished, recordings, seed), notes)
    return assemble(CORPUS, root, listed(folder / "metadata.csv", "file_name").clips, notes)


def build(folder: Path, recordings: Manifest, seed: int = 0) -> None:
    """Join the strings into the empty `folder`."""
    rows = []
    for number, planned in enumerate(plan(recordings, seed)):
        file_name = f"{planned.part}/{planned.speaker}-{number:04}.flac"
        (folder / planned.part).mkdir(exist_ok=True)
        writer.write(folder / file_name, joined(planned, np.random.default_rng([seed, number])), RATE)
        rows.append((file_name, planned.speaker, planned.digits, planned.part))
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([_COLUMNS, *rows])


def plan(recordings: Manifest, seed: int) -> Iterator[Plan]:
    """What each string is made of, from a manifest of fsdd; all recordings of a part are used about equally often."""
    stock: dict[tuple[str, str], dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in sorted(recordings.clips, key=lambda clip: clip.id):
        stock[part_of(clip), clip.labels["speaker"]][clip.labels["digit"]].append(clip)
    rng = np.random.default_rng(seed)
    for part, count in STRINGS.items():
        for i in range(count):
            speaker = recordings.speakers[i % len(recordings.speakers)]
            own = stock[part, speaker]
            if not own:
                raise CorpusError(
                    f"{recordings.spec} has no recording of {speaker!r} for {part}; expected indices 0 to 49 of each "
                    "digit: get the release again."
                )
            clips = []
            for digit in rng.choice(sorted(own), size=rng.integers(FEWEST, MOST + 1)):
                heap = own[digit]
                chosen = heap.pop(int(rng.integers((len(heap) + 1) // 2)))  # of those that were not used for long
                heap.append(chosen)
                clips.append(chosen)
            pauses = (_EDGE_S, *rng.uniform(*PAUSE_S, len(clips) - 1).tolist(), _EDGE_S)
            yield Plan(speaker, part, tuple(clips), pauses)


def joined(planned: Plan, rng: np.random.Generator) -> Wave:
    """The sound [T] of a string at 8 kHz: recordings at the level they have, faint noise all through."""
    pieces: list[Wave] = []
    for pause_s, clip in zip(planned.pauses_s, planned.clips, strict=False):
        pieces += [np.zeros(round(pause_s * RATE), np.float32), io.read(clip.path, RATE)]
    wav = normalise(np.concatenate([*pieces, np.zeros(round(planned.pauses_s[-1] * RATE), np.float32)]))
    noise = normalise(rng.standard_normal(len(wav)).astype(np.float32))
    return wav + np.float32(10.0 ** (NOISE_DB / 20.0)) * noise
