"""From a folder in a known layout to a manifest: what every reader of a corpus shares.

A corpus is a `Corpus`, registered in `catalogue.CORPORA`: what is known of it before any file is seen, and a function
that says for each sound file what its labels and its part are, or raises `Skip` with the reason why it is no clip.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from unicodedata import normalize

from sottovoce.audio.io import ENDINGS
from sottovoce.corpora.digests import file_digests
from sottovoce.corpora.labels import differences, doubtful_labels, gaps
from sottovoce.corpora.manifest import Clip, Manifest, SplitRule
from sottovoce.corpora.release import Release
from sottovoce.corpora.walk import skip_notes, walk
from sottovoce.errors import CorpusError

PARTS: Mapping[str, str] = MappingProxyType(  # of a split, by the names that people give them
    {"train": "train", "training": "train"}
    | dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation")
    | dict.fromkeys(("test", "testing", "eval", "evaluation"), "test")
)


Described = tuple[Mapping[str, str], str | None]  # the labels of a clip, and its part of the corpus' own split, if any


@dataclass(frozen=True, eq=False)
class Corpus:
    """What is known of a corpus before any of its files is seen, and how it is read.

    Each sound file is one clip, which `describe` labels from its path; another corpus brings a `reader` of its folder.
    """

    name: str
    title: str
    layout: str  # of the official release, for messages
    labels: tuple[str, ...]
    licence: str
    citation: str
    split_rule: SplitRule
    homepage: str = ""
    expected: Mapping[str, int] | None = None  # clips, speakers and classes by label, duplicates left out
    companions: tuple[str, ...] = ()  # names of its files that hold no sound, in lower case, with wild cards
    signs: tuple[str, ...] = ()  # patterns of paths by which a folder in this layout is known
    release: Release | None = None
    describe: Callable[[Path], Described] | None = None
    reader: Callable[[Path], Manifest] | None = None
    needs_path: bool = True  # else it is synthesised

    def read(self, root: Path) -> Manifest:
        """Manifest of what is below `root`; CorpusError where nothing of this corpus is there."""
        if self.reader is not None:
            return self.reader(root)
        assert self.describe is not None, "a corpus has a reader or describes its files"
        return read_files(self, root, self.describe)


class Skip(Exception):
    """A sound file that is no clip of the corpus; the message is the reason."""


def matched(pattern: re.Pattern[str], name: str, otherwise: str) -> re.Match[str]:
    """The match of all of `name`; Skip, with the reason `otherwise`, where there is none."""
    match = pattern.fullmatch(name)
    if match is None:
        raise Skip(otherwise)
    return match


def sound_files(root: Path, endings: Collection[str] = ENDINGS) -> list[Path]:
    """Every sound file below `root` by its ending, sorted; hidden files, such as those of macOS archives, left out."""
    return list(walk(root, endings).sounds)


def table_near(root: Path, name: str) -> Path | None:
    """The file `name`, in any case, in `root`, the folder above it, or a folder in it; None if there is none."""
    for folder in (root, root.absolute().parent, *_folders(root)):
        for path in entries(folder):
            if path.name.lower() == name.lower() and path.is_file():
                return path
    return None


def _folders(root: Path) -> list[Path]:
    return [path for path in entries(root) if path.is_dir() and not path.name.startswith(".")]


def entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted; nothing where it cannot be opened."""
    try:
        return sorted(folder.iterdir())
    except OSError:  # no folder, or one that may not be opened, which `walk` names
        return []


def whole_file(root: Path, path: Path, labels: Mapping[str, str], part: str | None = None) -> Clip:
    """The clip that is all of one file below `root`."""
    return Clip(path=path, id=path.relative_to(root).as_posix(), labels=labels, part=part)


def cut(clip: Clip, start_s: float, end_s: float) -> Clip:
    """The slice of a clip from `start_s` to `end_s`."""
    duration_s = end_s - start_s
    return replace(clip, id=slice_id(clip.id, start_s, duration_s), start_s=start_s, duration_s=duration_s)


def slice_id(file_id: str, start_s: float, duration_s: float | None) -> str:
    """The id of a slice: the numbers are exact, so that slices which differ at all have different ids."""
    return f"{file_id}#{_exact(start_s)}" + ("" if duration_s is None else f"+{_exact(duration_s)}")


def _exact(seconds: float) -> str:
    return repr(seconds).removesuffix(".0")


def read_files(
    corpus: Corpus,
    root: Path,
    describe: Callable[[Path], Described],
    notes: Sequence[str] = (),
    expected: Callable[[Sequence[Clip]], Mapping[str, int] | None] | None = None,
    endings: Collection[str] = ENDINGS,
) -> Manifest:
    """Manifest of every sound file below `root`, by its ending, that `describe` knows; CorpusError when there is none.

    `expected` gives the official counts where they depend on which parts of the release are there.
    """
    found = walk(root, endings, corpus.companions)
    clips = []
    skipped: dict[str, list[str]] = defaultdict(list)
    for path in found.sounds:
        try:
            clips.append(whole_file(root, path, *describe(path)))
        except Skip as reason:
            skipped[str(reason)].append(path.relative_to(root).as_posix())
    if expected is not None:
        corpus = replace(corpus, expected=expected(clips))
    labels = sorted({task for clip in clips for task in clip.labels})
    return assemble(corpus, root, clips, [*notes, *found.notes(), *skip_notes(skipped), *gaps(clips, labels)])


def whole_split(clips: Sequence[Clip]) -> tuple[list[Clip], list[str]]:
    """The clips without their parts, where these leave nothing to train or nothing to test on."""
    parts = sorted({clip.part for clip in clips if clip.part})
    if not parts or {"train", "test"} <= set(parts):
        return list(clips), []
    note = f"the given split has no part for train or none for test, only {', '.join(parts)}: the clips are split anew"
    return [replace(clip, part=None) for clip in clips], [note]


def assemble(corpus: Corpus, root: Path, clips: Iterable[Clip], notes: Sequence[str] = ()) -> Manifest:
    """Manifest of `clips`: contents hashed, byte-for-byte duplicates dropped, counts compared with the release.

    Labels are brought to one normal form of Unicode, NFC. Raises CorpusError when there is no clip.
    """
    hashed, unreadable = _with_hashes(sorted(sharing_labels(_printable_clips(clips)), key=lambda clip: clip.id))
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
    return replace(manifest, notes=(*manifest.notes, *doubtful_labels(manifest), *differences(manifest)))


def sharing_labels(clips: Iterable[Clip]) -> Iterator[Clip]:
    """The same clips; those with equal labels share one mapping, to save memory."""
    shared: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
    for clip in clips:
        yield replace(clip, labels=shared.setdefault(tuple(clip.labels.items()), clip.labels))


def _printable_clips(clips: Iterable[Clip]) -> Iterator[Clip]:
    for clip in clips:
        yield replace(clip, id=_printable(clip.id), labels=_composed(clip.labels))


def _composed(labels: Mapping[str, str]) -> dict[str, str]:
    return {normalize("NFC", task): normalize("NFC", _printable(value)) for task, value in labels.items()}


def _printable(name: str) -> str:
    """A name, with the bytes of a file's name that are not UTF-8 as in `\\xe9`: no page or card could hold them."""
    return name if name.isascii() else name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _with_hashes(clips: list[Clip]) -> tuple[list[Clip], list[str]]:
    hashes: dict[Path, str | None] = {}
    failed: dict[str, list[str]] = defaultdict(list)
    # Each path once, since a long recording can have a thousand slices.
    for path, found in file_digests(list(dict.fromkeys(clip.path for clip in clips))):
        if isinstance(found, OSError):
            hashes[path] = None
            failed[f"it cannot be read ({found.strerror or found})"].append(path.name)
        else:
            hashes[path] = found
    hashed = [replace(clip, sha256=sha256) for clip in clips if (sha256 := hashes[clip.path]) is not None]
    return hashed, skip_notes(failed)


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
