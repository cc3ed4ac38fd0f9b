"""What the user of a corpus has to know about its labels and counts before trusting a figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from unicodedata import normalize

from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.corpora.table import named

_MEANS_NONE = ("nan", "na", "n/a", "null", "<na>")  # what programs write for a cell that is empty


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
