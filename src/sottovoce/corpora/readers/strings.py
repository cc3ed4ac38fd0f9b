"""Digit strings: recordings of the Free Spoken Digit Dataset joined with pauses, three to seven digits of one speaker.

Made at the first use from the folder of fsdd: 960 strings of 6 speakers, as many of each speaker. They are joined, not
spoken at a stretch: no digit colours its neighbour. Digits and pauses are drawn independently of the speaker: a
transcript says nothing about who spoke. Official split: index 0 to 4 of the recordings is the test part, 5 to 9
validation, the rest train; no recording is in two parts, and one of the test part is in about four strings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sottovoce.audio import io, writer
from sottovoce.audio.level import normalise
from sottovoce.audio.spectrum import Wave
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.generated import generated
from sottovoce.corpora.layout import Corpus, assemble
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.readers import fsdd
from sottovoce.errors import CorpusError

VERSION = 1  # of everything below that shows in the sound

STRINGS: Mapping[str, int] = {"train": 600, "validation": 120, "test": 240}
RATE = 8000  # Hz, as the recordings
FEWEST, MOST = 3, 7  # digits of a string
PAUSE_S = (0.05, 0.4)  # between two digits
NOISE_DB = -45.0  # under the level of the string, all through it: what is joined shall not show as digital silence

_VALIDATION_INDICES = range(5, 10)
_EDGE_S = 0.1


class Plan(NamedTuple):
    """One string before it is made: the clips that are joined, and the pauses in s before each and after the last."""

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
    recordings = fsdd.CORPUS.read(root)
    key, columns = f"{recordings.digest[:32]}-{seed}-{VERSION}", ("file_name", "speaker", "digits", "split")
    notes = [*recordings.notes]
    _, clips = generated("strings", key, columns, lambda folder: build(folder, recordings, seed), notes, cache)
    return assemble(CORPUS, root, clips, notes)


def build(folder: Path, recordings: Manifest, seed: int = 0) -> Iterator[tuple[str, ...]]:
    """Join the strings into the empty `folder`; the rows of their table."""
    for number, planned in enumerate(plan(recordings, seed)):
        file_name = f"{planned.part}/{planned.speaker}-{number:04}.flac"
        (folder / planned.part).mkdir(exist_ok=True)
        writer.write(folder / file_name, joined(planned, np.random.default_rng([seed, number])), RATE)
        yield file_name, planned.speaker, planned.digits, planned.part


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


CORPUS: Corpus = Corpus(
    name="strings",
    title="strings of the Free Spoken Digit Dataset's digits",
    homepage=fsdd.CORPUS.homepage,
    layout=fsdd.CORPUS.layout,
    labels=("digits", "speaker"),
    licence=fsdd.CORPUS.licence,
    citation=fsdd.CORPUS.citation,
    split_rule="official",
    expected={"clips": sum(STRINGS.values()), "speakers": 6},
    reader=lambda root: read(root),
)
CORPORA.register(CORPUS.name, CORPUS)
