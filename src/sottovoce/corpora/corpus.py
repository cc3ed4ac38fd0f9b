"""What several jobs need of a corpus: its sound, the split that belongs to a card, and its description."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sottovoce.corpora import cache, catalogue
from sottovoce.corpora.cache import Sounds
from sottovoce.corpora.fragments import PREFIX, fragmented
from sottovoce.corpora.labels import is_number, why_not
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.splits import Split, split
from sottovoce.errors import CorpusError
from sottovoce.progress import Report
from sottovoce.redaction import word

_SHOWN = 5  # notes of one kind
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def opened(spec: str, report: Report) -> tuple[Manifest, Sounds]:
    """The clips of a corpus and their sound, decoded at the first use; `fragments:` before its name cuts them up."""
    whole = catalogue.open_corpus(spec.removeprefix(PREFIX))
    found = cache.load(whole, progress=lambda done, total: report(done, total, "decoding"))
    return fragmented(*found) if spec.startswith(PREFIX) else found


def check(spec: str, report: Report) -> tuple[dict[str, Any], bool]:
    """What a corpus really holds, every file decoded, and whether all of it can be used.

    Among the notes is everything that was skipped, and why a label cannot be attacked by the split that is the default.
    """
    manifest, sounds = opened(spec, report)
    found = {
        "clips": len(manifest.clips),
        "speakers": len(manifest.speakers),
        "hours": round(sum(sounds.duration_s(i) for i in range(len(sounds))) / 3600, 3),
        "labels": {task: list(manifest.classes(task)) for task in manifest.tasks},
        "digest": manifest.digest,
        "licence": manifest.licence,
        "expected": dict(manifest.expected) if manifest.expected else None,
        "notes": [*manifest.notes, *_not_attackable(manifest)],
    }
    return found, not sounds.failed


def _not_attackable(manifest: Manifest) -> list[str]:
    try:
        parts = split(manifest)
    except CorpusError as error:
        return [f"no split: {error}"]
    reasons = {task: why_not(manifest, parts, task) for task in manifest.tasks}
    numbers = [task for task in manifest.tasks if is_number(manifest, task)]
    return [
        f"the label {task!r} cannot be attacked by the split {parts.rule!r}: {reason}"
        for task, reason in reasons.items()
        if reason is not None and task not in numbers
    ] + [f"the label {task!r} is a number, which is estimated and not classified" for task in numbers]


def text(found: Mapping[str, Any], every_note: bool = False) -> str:
    """What `check` returns, for people: of many notes of one kind the first, unless `every_note` is set."""
    lines = [f"{found['clips']} clips, {found['speakers']} speakers, {found['hours']} h; {found['licence']}"]
    lines += [
        f"{task}: {len(names)} ({', '.join(names[:8])}{', …' if len(names) > 8 else ''})"
        for task, names in found["labels"].items()
    ]
    if found["expected"]:
        lines.append("official release: " + ", ".join(f"{count} {what}" for what, count in found["expected"].items()))
    notes = found["notes"] if every_note else _capped(found["notes"])
    return "\n".join([*lines, f"digest {found['digest']}", *notes])


def _capped(notes: Iterable[str]) -> Iterator[str]:
    """The first few of the notes that differ in the names in quotes alone, and how many more there are."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for note in notes:
        kinds[_QUOTED.sub("", note)].append(note)
    for alike in kinds.values():
        yield from alike[:_SHOWN]
        if len(alike) > _SHOWN:
            yield f"… and {len(alike) - _SHOWN} more notes of this kind; --all prints them"


def split_of(card: Mapping[str, Any] | None, manifest: Manifest) -> Split:
    """The split that a target or filter was trained with, so that its test clips stay unseen."""
    corpus = card.get("corpus") if card else None
    if corpus and corpus["digest"] == manifest.digest:
        return split(manifest, corpus["split"], corpus["split_seed"])
    if corpus and corpus["split"] == "fragment" != manifest.split_rule:
        raise CorpusError(f"this was trained on fragments: name the corpus as {PREFIX}{manifest.spec}.")
    return split(manifest)


def describe(manifest: Manifest, parts: Split) -> dict[str, Any]:
    """What cards and results say of a corpus and its split."""
    return {
        "spec": word(manifest.spec),
        "name": manifest.name,
        "digest": manifest.digest,
        "split": parts.rule,
        "split_seed": parts.seed,
        "clips": len(manifest.clips),
        "speakers": len(manifest.speakers),
        "licence": manifest.licence,
        "citation": manifest.citation,
    }
