"""Every clip decoded once: 16 kHz mono, one level, in one file that is mapped into memory; silence at its ends is cut.

In a corpus of `whole_clips` it is not cut.

A clip is kept as int16 with a scale of its own, its peak divided by 32767: nothing clips, quiet and loud clips have the
same precision, and the level that `normalise` gave it comes back exactly. A cache folder appears whole or not at all;
one that was damaged afterwards is built again; a decoding that was killed resumes. That a clip could not be decoded is
not kept: it may have been for want of a program, so it is tried at every load.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sottovoce.arrays import read_array
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.decoding import SAMPLES, decode, sound, unfinished
from sottovoce.corpora.manifest import Manifest
from sottovoce.corpora.store import build_once, cache_folder, discard
from sottovoce.corpora.table import named
from sottovoce.errors import AudioError, CorpusError, ModelError

VERSION = 3  # of what is written below, and of how a clip is decoded

_INDEX, _LENGTHS, _SCALES = "index.json", "lengths.npy", "scales.npy"
_TRIES = 3  # to open a cache folder that others may be replacing at the same time
_LARGEST_ARRAY_BYTES = 1 << 30
_MAPPED_AT_ONCE = 1 << 16  # bytes around an address that Linux maps together


@dataclass(frozen=True, eq=False)
class Sounds:
    """The decoded clips of a manifest, in its order: clip i is `manifest.clips[i]`.

    `failed` says for each clip that was left out of the manifest why.
    """

    failed: dict[str, str]
    _samples: NDArray[np.int16]  # of all clips, one after the other
    _starts: NDArray[np.int64]  # of each clip in them
    _lengths: NDArray[np.int64]
    _scales: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self._lengths)

    def samples(self, i: int) -> int:
        """Length of clip i in samples at 16 kHz; never 0."""
        return int(self._lengths[i])

    def duration_s(self, i: int) -> float:
        """Length of clip i in seconds."""
        return self.samples(i) / SAMPLE_RATE

    def wave(self, i: int) -> Wave:
        """Clip i, [T] at 16 kHz."""
        start, length = int(self._starts[i]), int(self._lengths[i])
        wav: Wave = self._samples[start : start + length] * self._scales[i]
        _release(self._samples, start, length)
        return wav

    def slices(self, owner: NDArray[np.int64], starts: NDArray[np.int64], samples: int) -> Sounds:
        """Slices as clips of their own: from clip `owner[j]` at most `samples` samples from `starts[j]` on, [J]."""
        lengths = np.clip(self._lengths[owner] - starts, 1, samples)
        return Sounds(self.failed, self._samples, self._starts[owner] + starts, lengths, self._scales[owner])

    def segments(self, indices: ArrayLike, starts: ArrayLike, samples: int) -> Wave:
        """From each clip of `indices` [B], `samples` samples from `starts` [B] on -> [B, samples].

        What lies past the end of a clip is zero. Raises ValueError for a negative start.
        """
        clips = np.asarray(indices)
        first = np.asarray(starts)
        if clips.size and first.min() < 0:
            raise ValueError(f"starts are {first.min()} at least; expected 0 or more")
        gathered = np.zeros((len(clips), samples), np.float32)
        begins = self._starts[clips] + first
        counts = np.clip(self._lengths[clips] - first, 0, samples)
        for row, begin, count, scale in zip(gathered, begins, counts, self._scales[clips], strict=True):
            np.multiply(self._samples[begin : begin + count], scale, out=row[:count])
            _release(self._samples, int(begin), int(count))
        return gathered


def _release(samples: NDArray[np.int16], start: int, count: int) -> None:
    """Give back the memory of a part of a mapped file that was copied; else all that was ever read stays resident."""
    mapping: Any = samples
    while isinstance(mapping, np.ndarray):
        mapping = mapping.base
    if isinstance(mapping, mmap.mmap) and len(mapping) == samples.nbytes and hasattr(mmap, "MADV_DONTNEED"):
        begin = start * samples.itemsize // _MAPPED_AT_ONCE * _MAPPED_AT_ONCE
        end = -(-(start + count) * samples.itemsize // _MAPPED_AT_ONCE) * _MAPPED_AT_ONCE
        mapping.madvise(mmap.MADV_DONTNEED, begin, min(end, len(mapping)) - begin)


def load(
    manifest: Manifest,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Manifest, Sounds]:
    """The clips of `manifest` that can be decoded, and their sound; decoded at the first call, mapped at the next ones.

    `progress` gets how many clips of how many are decoded. A clip that cannot be read or is silent is left out, and
    named with the reason in the manifest's notes and in `Sounds.failed`; it is tried again at the next load. Raises
    CorpusError when more than half fail, or two clips have one id.
    """
    ids = {clip.id for clip in manifest.clips}
    if len(ids) < len(manifest.clips):
        raise CorpusError(f"two clips of {manifest.spec} have the same id; give each clip one of its own.")
    folder = (cache_folder() if cache is None else cache) / "sounds" / f"{manifest.digest[:32]}-{VERSION}"
    notes: list[str] = []
    failed: dict[str, str] = {}  # by the decoding of this call

    def build(unfinished: Path) -> None:
        failed.update(_decode(manifest, unfinished, progress))

    for _ in range(_TRIES):
        entry = _opened(build_once(folder, build, notes), ids)
        if isinstance(entry, str):
            discard(folder, entry, notes)
            continue
        reasons = _tried_again(manifest, entry.rows, failed)
        if reasons is not None:
            return _fitted(manifest, entry, reasons, notes)
        discard(folder)
    raise CorpusError(f"the cache folder {folder} is damaged again as soon as it is written; check the disk.")


def _tried_again(manifest: Manifest, known: Collection[str], failed: Mapping[str, str]) -> dict[str, str] | None:
    """Why each clip that is not `known` cannot be decoded, now or in `failed`; None where one of them can be."""
    reasons: dict[str, str] = {}
    for clip in manifest.clips:
        if clip.id in known:
            continue
        if clip.id in failed:
            reasons[clip.id] = failed[clip.id]
            continue
        try:
            sound(clip, manifest.whole_clips)
        except AudioError as error:
            reasons[clip.id] = str(error)
        else:
            return None
    return reasons


def _decode(manifest: Manifest, folder: Path, progress: Callable[[int, int], None] | None) -> dict[str, str]:
    """Write the sound of all clips to `folder`; what failed in this call, and why."""
    place = folder.parents[1] / f".decoding-{folder.name}"
    with unfinished(place, otherwise=folder.parent / "decoding") as at:
        done, earlier = decode(manifest, at, progress)
        if 2 * len(done.failed) > len(manifest.clips):
            rmtree(at)
            first, reason = next(iter(done.failed.items()))
            raise CorpusError(
                f"{len(done.failed)} of {len(manifest.clips)} clips of {manifest.spec} cannot be used: "
                f"{named(list(done.failed))}; the first, {first!r}: {reason}"
            )
        np.save(folder / _LENGTHS, np.array(done.lengths, np.int64))
        np.save(folder / _SCALES, np.array(done.scales, np.float32))
        (folder / _INDEX).write_text(json.dumps({"ids": done.ids}), encoding="utf-8")
        os.replace(at / SAMPLES, folder / SAMPLES)
        rmtree(at)
    return {clip: reason for clip, reason in done.failed.items() if clip not in earlier}


class _Entry(NamedTuple):
    """A cache folder: the row of each clip by its id, all samples, and length and scale of each row."""

    rows: dict[str, int]
    samples: NDArray[np.int16]
    lengths: NDArray[np.int64]
    scales: NDArray[np.float32]


def _opened(folder: Path, ids: Collection[str]) -> _Entry | str:
    """What a cache folder holds, or what is wrong with it."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        samples = np.asarray(np.memmap(folder / SAMPLES, dtype=np.int16, mode="r"))
        lengths = read_array(folder / _LENGTHS, _LARGEST_ARRAY_BYTES)
        scales = read_array(folder / _SCALES, _LARGEST_ARRAY_BYTES)
        if (lengths.dtype, lengths.ndim, scales.dtype, scales.ndim) != (np.dtype(np.int64), 1, np.dtype(np.float32), 1):
            return "lengths and scales are not lists of numbers"
        if not (np.isfinite(scales) & (scales > 0.0)).all():
            return "a scale is not above 0"
        rows = {clip: i for i, clip in enumerate(index["ids"])}
        fits = len(rows) == len(lengths) == len(scales) and rows.keys() <= set(ids)
        # The largest is bounded, too: a sum of int64 can overflow.
        if not fits or lengths.min() < 1 or lengths.max() > len(samples) or len(samples) != lengths.sum():
            return "its files do not fit together"
    except (ModelError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return str(error)
    return _Entry(rows, samples, lengths, scales)


def _fitted(manifest: Manifest, entry: _Entry, failed: dict[str, str], notes: list[str]) -> tuple[Manifest, Sounds]:
    """The clips of `manifest` that are not among the failed, and their sound in the order of theirs."""
    left_out = [f"{clip!r} left out: {reason}" for clip, reason in failed.items()]
    if left_out or notes:
        clips = tuple(clip for clip in manifest.clips if clip.id not in failed)
        manifest = replace(manifest, clips=clips, notes=(*manifest.notes, *left_out, *notes))
    # The digest does not depend on the order of the clips, so theirs in the folder can be another.
    rows = np.array([entry.rows[clip.id] for clip in manifest.clips])
    starts = np.cumsum(entry.lengths) - entry.lengths
    return manifest, Sounds(failed, entry.samples, starts[rows], entry.lengths[rows], entry.scales[rows])
