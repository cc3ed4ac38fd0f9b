"""A folder of Kaldi's, as speech corpora are often published, such as speechocean762.

wav.scp (utterance and path on each line), utt2spk and, where they are there, spk2gender, spk2age, text and segments
(utterance, recording, start and end in s): in the folder, or in train, validation (dev) and test below it. Paths in
wav.scp are relative to the folder, or to that of wav.scp, and stay below the folder; a line that names a command, which
Kaldi would run, is skipped. An age gives the label age_group as well: child below 18, adult from then on. Split by
speaker, over the given parts where none of them shares a speaker with another; else as `listing.default_rule`.
"""

from __future__ import annotations

import math
import os
import posixpath
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from sottovoce.corpora.below import Below, Outside
from sottovoce.corpora.catalogue import CORPORA
from sottovoce.corpora.labels import gaps
from sottovoce.corpora.layout import PARTS, Corpus, assemble, cut, whole_file, whole_split
from sottovoce.corpora.listing import default_rule
from sottovoce.corpora.manifest import Clip, Manifest, SplitRule
from sottovoce.corpora.table import quoted, read_text
from sottovoce.corpora.walk import skip_notes
from sottovoce.errors import CorpusError

_GENDERS = {"f": "female", "m": "male"}
_ADULT = 18  # years


def _read(root: Path) -> Manifest:
    """Manifest of the utterances that the files wav.scp in `root` or in its folders list."""
    folders = [folder for folder in (root, *sorted(root.glob("*/"))) if (folder / "wav.scp").is_file()]
    clips: list[Clip] = []
    notes: list[str] = []
    for folder in folders:
        found, more = _utterances(root, folder)
        clips += found
        notes += more
    clips, more = whole_split(clips)
    return assemble(
        replace(CORPUS, split_rule=_rule(clips)),
        root,
        clips,
        [*notes, *more, *gaps(clips, sorted({task for clip in clips for task in clip.labels}))],
    )


def _rule(clips: list[Clip]) -> SplitRule:
    parts: dict[str, set[str | None]] = defaultdict(set)
    for clip in clips:
        parts[clip.labels.get("speaker", "")].add(clip.part)
    apart = len(parts) >= 3 and "" not in parts and all(len(found) == 1 for found in parts.values())
    return "speaker" if apart else default_rule(clips)


def _utterances(root: Path, folder: Path) -> tuple[list[Clip], list[str]]:
    notes: list[str] = []

    def pairs(name: str) -> dict[str, str]:
        """The first word of each line and the rest of it, of a file that may be missing."""
        if not (folder / name).is_file():
            return {}
        text, more = read_text(folder / name)
        notes.extend(more)
        words = (line.split(maxsplit=1) for line in text.splitlines())
        return {line[0]: line[1].strip() for line in words if len(line) == 2}

    paths, speakers, words = pairs("wav.scp"), pairs("utt2spk"), pairs("text")
    genders, ages = pairs("spk2gender"), pairs("spk2age")
    part = PARTS.get(folder.name.lower()) if folder != root else None
    skipped: dict[str, list[str]] = defaultdict(list)
    clips = []
    below = Below(root)
    for utterance, (recording, *times) in _segments(folder, pairs("segments"), paths).items():
        given = paths.get(recording, "")
        if given.endswith("|"):
            skipped["made by a command, and none is run"].append(utterance)
            continue
        path = _path(folder / "wav.scp", utterance, given, below, folder.relative_to(root))
        if path is None:
            skipped["listed but not there"].append(utterance)
            continue
        speaker = speakers.get(utterance, "")
        gender = _GENDERS.get(genders.get(speaker, "").lower(), "")
        age = ages.get(speaker, "")
        labels = {"speaker": speaker, "gender": gender, "age": age, "age_group": _group(age)}
        labels["words"] = words.get(utterance, "")
        clip = whole_file(root, path, {task: value for task, value in labels.items() if value}, part)
        clips.append(cut(clip, *map(float, times)) if times else clip)
    return clips, [*notes, *skip_notes(skipped)]


def _segments(folder: Path, segments: dict[str, str], paths: dict[str, str]) -> dict[str, list[str]]:
    """The recording that each utterance is of, and where it starts and ends in s unless it is all of it."""
    if not segments:
        return {utterance: [utterance] for utterance in paths}
    cuts = {utterance: line.split() for utterance, line in segments.items()}
    for utterance, fields in cuts.items():
        if not (len(fields) == 3 and 0.0 <= _number(fields[1]) < _number(fields[2])):
            raise CorpusError(
                f"{folder / 'segments'}: {quoted(utterance)} has {quoted(segments[utterance])}; expected the "
                "recording, and its start and end in seconds."
            )
    return cuts


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _group(age: str) -> str:
    """ "child" or "adult"; empty where an age is no number of years."""
    years = _number(age)
    return "" if not years >= 0.0 else "adult" if years >= _ADULT else "child"


def _path(table: Path, utterance: str, given: str, below: Below, folder: Path) -> Path | None:
    """The sound file that a line of wav.scp names, relative to the corpus or to the folder of wav.scp."""
    reason: Outside | None = None
    for name in dict.fromkeys((given, posixpath.join(folder.as_posix(), given))):
        try:
            _, path = below.find(name)
        except Outside as error:
            reason = error
            continue
        if os.path.isfile(path):
            return path
    if reason is not None:
        raise CorpusError(
            f"{table}: the path of {quoted(utterance)} is {quoted(given)}, {reason}; give the path of a sound file "
            "below the folder of the corpus, relative to it."
        )
    return None


CORPUS: Corpus = Corpus(
    name="kaldi",
    title="a folder in the layout of Kaldi",
    homepage="https://kaldi-asr.org/doc/data_prep.html",
    layout="wav.scp and utt2spk, in the folder or in train, dev and test below it",
    labels=("age", "age_group", "gender", "speaker", "words"),
    licence="unknown: see the corpus",
    citation="",
    split_rule="speaker",
    signs=("wav.scp", "*/wav.scp"),
    reader=_read,
)
CORPORA.register(CORPUS.name, CORPUS)
