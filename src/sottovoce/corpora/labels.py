"""The labels of a corpus: what its user has to know before trusting them, and which of them an attacker can learn."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from unicodedata import normalize

import numpy as np

from sottovoce.corpora.manifest import Clip, Manifest, check_task
from sottovoce.corpora.splits import Split
from sottovoce.corpora.table import named
from sottovoce.errors import CorpusError

_MEANS_NONE = ("nan", "na", "n/a", "null", "<na>")  # what programs write for a cell that is empty
_FEWEST_VALUES = 20  # of a label that is a number, to be estimated as one
_NAMES = re.compile(  # of labels whose numbers are names, such as a user's
    r"(?i:(.*[\W_])?(id|uid|uuid|code|speaker|user|client|person|participant|subject|patient|actor|reader|session))"
    r"|.*[a-z](I[dD]|UID|UUID|Code)"
)
_PADDED = re.compile(r"0\d+")  # no quantity is written so


def gaps(clips: Sequence[Clip], labels: Iterable[str]) -> list[str]:
    """A sentence for each of `labels` that some clips lack: it can be no task, and no attacker is scored on it."""
    missing = {label: sum(label not in clip.labels for clip in clips) for label in labels}
    return [
        f"{count} of {len(clips)} clips have no label {label!r}, so it can be neither permitted nor attacked: fill it "
        "in, or leave those clips out"
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
        check_task(manifest, task)
    except CorpusError as error:
        return str(error).removesuffix(".")
    known, tested = ({manifest.clips[i].labels[task] for i in part} for part in (parts.train, parts.test))
    if len(known) < 2:
        return f"all of its training clips are {named(sorted(known))}"
    only_tested = sorted(tested - known)
    if only_tested:
        return f"nothing can learn what is in test but not in training: {named(only_tested)}"
    return None


def is_number(manifest: Manifest, task: str) -> bool:
    """Whether a label is a quantity, such as an age, to be estimated; numbers that are names, such as ids, are none."""
    if _NAMES.fullmatch(task) or any(_PADDED.fullmatch(clip.labels.get(task, "")) for clip in manifest.clips):
        return False
    try:
        values = {float(clip.labels[task]) for clip in manifest.clips}
    except (KeyError, ValueError):
        return False
    return len(values) >= _FEWEST_VALUES and bool(np.isfinite(list(values)).all())


def names_speakers(manifest: Manifest, task: str) -> bool:
    """Whether each value of a label belongs to one speaker and each speaker has one value: it identifies who speaks."""
    pairs = {(clip.labels.get("speaker"), clip.labels.get(task)) for clip in manifest.clips}
    return all(None not in pair for pair in pairs) and len(pairs) == len({a for a, _ in pairs}) == len(
        {b for _, b in pairs}
    )
