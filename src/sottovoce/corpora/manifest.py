"""A corpus as a list: which clips, with which labels, under which licence, and how they are split.

Rules of a split, whatever its kind: its parts share no clip; slices of one recording that overlap stay in one part,
except where it is asked for by fragment; it depends on the seed and on the clips' ids, not on the order in which a file
system lists them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from sottovoce.errors import CorpusError
from sottovoce.files import file_sha256

SplitRule = Literal["utterance", "speaker", "official", "fragment"]


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance: a sound file, or a slice of one, and what is known about it."""

    path: Path
    id: str  # path relative to the corpus; for a slice followed by "#start+duration", in seconds
    labels: Mapping[str, str]
    part: str | None = None  # the corpus' own split: "train", "validation" or "test"
    start_s: float = 0.0
    duration_s: float | None = None  # None: up to the end
    sha256: str = ""  # of the file's content


@dataclass(frozen=True)
class Manifest:
    """What a corpus holds; `expected` are the counts of its official release, `notes` the defects met on the way.

    `whole_clips`: the length of a clip is given, and silence at its ends belongs to it.
    """

    name: str
    spec: str
    clips: tuple[Clip, ...]
    licence: str
    citation: str
    split_rule: SplitRule
    expected: Mapping[str, int] | None = None
    notes: tuple[str, ...] = ()
    whole_clips: bool = False

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex over the clips' ids, labels, official parts and file contents, in order of id."""
        total = hashlib.sha256()
        for clip in sorted(self.clips, key=lambda clip: clip.id):
            line = [clip.id, sorted(clip.labels.items()), clip.part, clip.sha256 or file_sha256(clip.path)]
            total.update(json.dumps(line).encode() + b"\n")
        return total.hexdigest()

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Names of the labels that the clips carry, sorted."""
        return tuple(sorted({task for clip in self.clips for task in clip.labels}))

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers, sorted; none where the corpus does not name them."""
        return tuple(sorted({clip.labels["speaker"] for clip in self.clips if "speaker" in clip.labels}))

    def classes(self, task: str) -> tuple[str, ...]:
        """The values of the label `task`, sorted; CorpusError for a label that no clip carries."""
        if task not in self.tasks:
            raise CorpusError(f"{self.spec} has no label '{task}'; it has: {', '.join(self.tasks) or 'none'}.")
        return tuple(sorted({clip.labels[task] for clip in self.clips if task in clip.labels}))


def check_task(manifest: Manifest, task: str) -> None:
    """Raise CorpusError unless `task` can be learnt: a label of every clip, two classes or more, not all different."""
    classes = manifest.classes(task)
    counts = Counter(clip.labels[task] for clip in manifest.clips if task in clip.labels)
    unlabelled = len(manifest.clips) - counts.total()
    if unlabelled:
        raise CorpusError(
            f"{unlabelled} of {len(manifest.clips)} clips of {manifest.spec} have no label '{task}'; "
            "label them or leave them out."
        )
    if len(classes) < 2:
        raise CorpusError(
            f"'{task}' needs at least two classes, {manifest.spec} has one: {counts.total()} clips of '{classes[0]}'."
        )
    if max(counts.values()) == 1:
        raise CorpusError(
            f"each of the {len(classes)} values of '{task}' in {manifest.spec} occurs once, so none can be in "
            "training and in test; choose a label whose values recur."
        )
