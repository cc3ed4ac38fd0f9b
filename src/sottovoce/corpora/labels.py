"""The labels of a corpus: what its user has to know before trusting them, and which of them an attacker can learn."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from unicodedata import normalize

import numpy as np

from sottovoce.corpora.manifest import Clip, Manifest, check_task
from sottovoce.corpora.splits import Split
from sottovoce.corpora.table import named
from sottovoce.errors import CorpusError

_MEANS_NONE = ("nan", "na", "n/a", "null", "<na>")  # what programs write for a cell that is empty
_FEWEST_VALUES = 20  # of a label that is a number, to be estimated as one
_RECUR = 3  # times that a number occurs on average which may be a name
_NAMES = re.compile(  # of labels whose numbers are names, such as a user's
    r"(?i:(.*[\W_])?(id|uid|uuid|code|speaker|user|client|person|participant|subject|patient|actor|reader|session))"
    r"|.*[a-z](I[dD]|UID|UUID|Code)"
)
_PADDED = re.compile(r"0\d+")  # no quantity is written so


def gaps(clips: Sequence[Clip], labels: Iterable[str]) -> list[str]:
    """A sentence for each of `labels` that some clips lack: it can be no task, and attackers do without them."""
    missing = {label: sum(label not in clip.labels for clip in clips) for label in labels}
    return [
        f"{count} of {len(clips)} clips have no label {label!r}, so it cannot be permitted, and the other clips alone "
        "are attacked: fill it in, or leave those clips out"
        for label, count in missing.items()
        if count
    ]


def doubtful_labels(manifest: Manifest) -> list[str]:
    """Values of a label that may be meant as one, or as none."""
    notes = []
    for task in manifest.tasks:
        alike: dict[str, list[str]] = defaultdict(list)
        for value in manifest.classes(task):
            alike[" ".join(normalize("NFKC", value).casefold().split())].append(value)
        notes += [
            f"{task}: {named(values)} differ in case, spaces or width alone, and count as different"
            for values in alike.values()
            if len(values) > 1
        ]
        nothing = [value for key in _MEANS_NONE for value in alike.get(key, [])]
        if nothing:
            notes.append(f"{task}: {named(nothing)} counts as a value; leave the cell empty where none is meant")
    return notes


def differences(manifest: Manifest) -> list[str]:
    """Where the counts of a corpus are not those of its official release."""
    notes = []
    for what, official in (manifest.expected or {}).items():
        if what == "clips":
            here = len(manifest.clips)
        elif what == "speakers":
            here = len(manifest.speakers)
        else:
            here = len(manifest.classes(what)) if what in manifest.tasks else 0
        if here != official:
            notes.append(f"{what}: {here} here, {official} in the official release")
    return notes


def why_not(manifest: Manifest, parts: Split, task: str) -> str | None:
    """Why an attacker cannot learn the label `task` by a split, as one sentence; None if it can."""
    try:
        check_task(replace(manifest, clips=tuple(clip for clip in manifest.clips if task in clip.labels)), task)
    except CorpusError as error:
        return str(error).removesuffix(".")
    known, held_out, tested = (
        {manifest.clips[i].labels[task] for i in part if task in manifest.clips[i].labels}
        for part in (parts.train, parts.validation, parts.test)
    )
    if len(known) < 2:
        return f"all of its training clips are {named(sorted(known))}" if known else "no training clip has it"
    if len(known & tested) < 2:
        new = f", where {named(sorted(tested - known))} is new" if tested - known else ""
        return f"fewer than two of its classes are both in training and in test{new}"
    if not known & held_out:
        return "no validation clip has a class that training has"
    return None


def is_number(manifest: Manifest, task: str) -> bool:
    """Whether a label is a quantity, such as an age, to be estimated; numbers that are names, such as ids, are none."""
    if _NAMES.fullmatch(task) or any(_PADDED.fullmatch(clip.labels.get(task, "")) for clip in manifest.clips):
        return False
    try:
        values = {float(clip.labels[task]) for clip in manifest.clips if task in clip.labels}
    except ValueError:
        return False
    return len(values) >= _FEWEST_VALUES and bool(np.isfinite(list(values)).all())


def names_speakers(manifest: Manifest, task: str) -> bool:
    """Whether each value of a label belongs to one speaker and each speaker has one value: it identifies who speaks."""
    pairs = {
        (clip.labels["speaker"], clip.labels[task])
        for clip in manifest.clips
        if task in clip.labels and "speaker" in clip.labels
    }
    return bool(pairs) and len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def may_be_names(manifest: Manifest, task: str) -> bool:
    """Whether the numbers of a label may be names, and so are attacked as such, too.

    They are where each belongs to one speaker; and may be where nobody is named and whole numbers recur.
    """
    if manifest.speakers:
        return names_speakers(manifest, task)
    values = Counter(clip.labels[task] for clip in manifest.clips if task in clip.labels)
    return all(value.isdecimal() for value in values) and values.total() >= _RECUR * len(values)
