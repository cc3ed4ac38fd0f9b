"""From a folder in a known layout to a manifest: what every reader of a corpus shares.

A corpus is a `Corpus` (what is known of it before any file is seen) and a function that says for each sound file which
clip it is, or raises `Skip` with the reason why it is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sottovoce.audio.io import ENDINGS
from sottovoce.corpora.manifest import Clip, Manifest, SplitRule, file_sha256
from sottovoce.errors import CorpusError

_NAMED = 3  # how many of many a message names


@dataclass(frozen=True)
class Corpus:
    """What is known of a corpus before any of its files is seen."""

    name: str
    title: str
    homepage: str
    layout: str  # the layout of the official release, for messages
    labels: tuple[str, ...]
    licence: str
    citation: str
    split_rule: SplitRule
    expected: Mapping[str, int] | None = None  # clips, speakers and classes by label, duplicates left out


class Skip(Exception):
    """A sound file that is no clip of the corpus; the message is the reason."""


def sound_files(root: Path, endings: Collection[str] = ENDINGS) -> list[Path]:
    """Every sound file below `root` by its ending, sorted; hidden files, such as those of macOS archives, left out."""
    found = (path for path in root.rglob("*") if path.suffix.lower() in endings and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def whole_file(root: Path, path: Path, labels: Mapping[str, str], part: str | None = None) -> Clip:
    """The clip that is all of one file below `root`."""
    return Clip(path=path, id=path.relative_to(root).as_posix(), labels=labels, part=part)


def read_files(
    corpus: Corpus,
    root: Path,
    describe: Callable[[Path], Clip],
    notes: Sequence[str] = (),
    expected: Callable[[Sequence[Clip]], Mapping[str, int] | None] | None = None,
    endings: Collection[str] = ENDINGS,
) -> Manifest:
    """Manifest of every sound file below `root`, by its ending, that `describe` knows.

    `expected` gives the official counts where they depend on which parts of the release are there.

    Raises CorpusError when not one file is recognised.
    """
    clips = []
    skipped: dict[str, list[str]] = defaultdict(list)
    for path in sound_files(root, endings):
        try:
            clips.append(describe(path))
        except Skip as reason:
            skipped[str(reason)].append(path.relative_to(root).as_posix())
    more = [f"{len(names)} files skipped, {reason}: {named(names)}" for reason, names in sorted(skipped.items())]
    if expected is not None:
        corpus = replace(corpus, expected=expected(clips))
    return assemble(corpus, root, clips, [*notes, *more])


def assemble(corpus: Corpus, root: Path, clips: Iterable[Clip], notes: Sequence[str] = ()) -> Manifest:
    """Manifest of `clips`: contents hashed, byte-for-byte duplicates dropped, counts compared with the release.

    Raises CorpusError when there is no clip.
    """
    hashed, unreadable = _with_hashes(sorted(clips, key=lambda clip: clip.id))
    kept, dropped = _without_duplicates(hashed)
    if not kept:
        reasons = "".join(f" ({note})" for note in [*notes, *unreadable])
        raise CorpusError(f"{root} holds no recording of {corpus.title}{reasons}; expected {corpus.layout}.")
    manifest = Manifest(
        name=corpus.name,
        spec=f"{corpus.name}:{root}",
        clips=tuple(kept),
        licence=corpus.licence,
        citation=corpus.citation,
        split_rule=corpus.split_rule,
        expected=corpus.expected,
        notes=(*notes, *unreadable, *dropped),
    )
    return replace(manifest, notes=(*manifest.notes, *_differences(manifest)))


def named(names: Sequence[str]) -> str:
    """The first three of `names`, quoted and escaped, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(map(repr, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def _with_hashes(clips: list[Clip]) -> tuple[list[Clip], list[str]]:
    hashes: dict[Path, str] = {}  # by path, since a long recording can have a thousand slices
    failed: dict[Path, str] = {}
    for path in {clip.path for clip in clips}:
        try:
            hashes[path] = file_sha256(path)
        except OSError as error:
            failed[path] = error.strerror or str(error)
    notes = [f"1 file skipped, it cannot be read ({failed[path]}): {path.name!r}" for path in sorted(failed)]
    return [replace(clip, sha256=hashes[clip.path]) for clip in clips if clip.path in hashes], notes


def _without_duplicates(clips: list[Clip]) -> tuple[list[Clip], list[str]]:
    """Keep the first by id of clips with the same sound; a copy in training would answer for its twin in test."""
    first: dict[tuple[str, float, float | None], Clip] = {}
    dropped: list[tuple[Clip, Clip]] = []
    for clip in clips:
        kept = first.setdefault((clip.sha256, clip.start_s, clip.duration_s), clip)
        if kept is not clip:
            dropped.append((clip, kept))
    notes = [
        f"{clip.id!r} dropped, a byte-for-byte duplicate of {kept.id!r}"
        + ("" if clip.labels == kept.labels else f" although its labels differ ({_difference(clip, kept)})")
        for clip, kept in dropped
    ]
    return list(first.values()), notes


def _difference(clip: Clip, kept: Clip) -> str:
    tasks = sorted({*clip.labels, *kept.labels})
    pairs = [(task, clip.labels.get(task, "none"), kept.labels.get(task, "none")) for task in tasks]
    return ", ".join(f"{task} {one} and {other}" for task, one, other in pairs if one != other)


def _differences(manifest: Manifest) -> list[str]:
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
