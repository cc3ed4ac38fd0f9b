"""Which labels of a corpus an attacker can learn and be tested on, and why the others are none."""

from __future__ import annotations

import re

import numpy as np

from sottovoce.corpora.manifest import Manifest, Split, check_task
from sottovoce.corpora.table import named
from sottovoce.errors import CorpusError

_FEWEST_VALUES = 20  # of a label that is a number, to be estimated as one
_NAMES = re.compile(  # of labels whose numbers are names, such as a user's
    r"(?i:(.*[\W_])?(id|uid|uuid|code|speaker|user|client|person|participant|subject|patient|actor|reader|session))"
    r"|.*[a-z](I[dD]|UID|UUID|Code)"
)
_PADDED = re.compile(r"0\d+")  # no quantity is written so


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
    """Whether each value of a label belongs to one speaker and each speaker has one value: it tells who speaks."""
    pairs = {(clip.labels.get("speaker"), clip.labels.get(task)) for clip in manifest.clips}
    return all(None not in pair for pair in pairs) and len(pairs) == len({a for a, _ in pairs}) == len(
        {b for _, b in pairs}
    )
