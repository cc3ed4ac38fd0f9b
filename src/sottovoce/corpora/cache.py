"""Every clip decoded once: 16 kHz mono, one level, in one file that is mapped into memory; silence at its ends is cut.

In a corpus of `whole_clips` it is not cut.

A clip is kept as int16 with a scale of its own, its peak divided by 32767: nothing clips, quiet and loud clips have the
same precision, and the level that `normalise` gave it comes back exactly. A cache folder appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sottovoce import files
from sottovoce.audio import io
from sottovoce.audio.level import normalise, trim_silence
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.errors import AudioError, CorpusError

VERSION = 1  # of what is written below, and of how a clip is decoded

_FULL_SCALE = 32767
_INDEX, _SAMPLES, _LENGTHS, _SCALES = "index.json", "samples.int16", "lengths.npy", "scales.npy"


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
        start = self._starts[i]
        wav: Wave = self._samples[start : start + self._lengths[i]] * self._scales[i]
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
        return gathered


def cache_folder() -> Path:
    """Where decoded and synthesised sound is kept: `$SOTTOVOCE_CACHE`, or `~/.cache/sottovoce`; for its owner alone.

    Raises CorpusError where others may write there.
    """
    chosen = os.environ.get("SOTTOVOCE_CACHE")
    folder = Path(chosen) if chosen else Path.home() / ".cache" / "sottovoce"
    files.private_folder(folder.resolve())  # the folder itself may be reached by a link
    return folder


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """`folder`, filled by `build` unless it is there already; it appears complete or not at all.

    Two processes may build at the same time; the first to finish wins. Raises CorpusError when it cannot be written,
    or when others may write what is there.
    """
    files.private_folder(folder.parent)
    if folder.is_dir():
        files.check_private(folder)
        return folder
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as scratch:
            unfinished = Path(scratch) / folder.name
            unfinished.mkdir()
            build(unfinished)
            files.make_private(unfinished)
            if not folder.is_dir():
                os.replace(unfinished, folder)
    except OSError as error:
        if not folder.is_dir():  # another process may have been faster
            raise CorpusError(
                f"the cache folder {folder} could not be written ({error.strerror}); "
                "free some space or set SOTTOVOCE_CACHE to another folder."
            ) from error
    return folder


def load(
    manifest: Manifest,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Manifest, Sounds]:
    """The clips of `manifest` that can be decoded, and their sound; decoded at the first call, mapped at the next ones.

    `progress` is told how many clips of how many are decoded. A clip that cannot be read or is silent is left out, and
    named with the reason in the manifest's notes and in `Sounds.failed`. Raises CorpusError when more than half fail.
    """
    parent = (cache_folder() if cache is None else cache) / "sounds"
    folder = build_once(
        parent / f"{manifest.digest[:32]}-{VERSION}", lambda unfinished: _decode(manifest, unfinished, progress)
    )
    return _open(manifest, folder)


def _decode(manifest: Manifest, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    ids: list[str] = []
    failed: dict[str, str] = {}
    lengths: list[int] = []
    scales: list[float] = []
    with (folder / _SAMPLES).open("wb") as file:
        for done, clip in enumerate(manifest.clips, start=1):
            try:
                wav = _sound(clip, manifest.whole_clips)
            except AudioError as error:
                failed[clip.id] = str(error)
            else:
                scale = np.float32(np.abs(wav).max() / _FULL_SCALE)
                file.write(np.rint(wav / scale).astype(np.int16).tobytes())
                ids.append(clip.id)
                lengths.append(len(wav))
                scales.append(float(scale))
            if progress is not None:
                progress(done, len(manifest.clips))
    if 2 * len(failed) > len(manifest.clips):
        first, reason = next(iter(failed.items()))
        raise CorpusError(
            f"{len(failed)} of {len(manifest.clips)} clips of {manifest.spec} cannot be used; "
            f"the first, {first!r}: {reason}"
        )
    np.save(folder / _LENGTHS, np.array(lengths, np.int64))
    np.save(folder / _SCALES, np.array(scales, np.float32))
    (folder / _INDEX).write_text(json.dumps({"ids": ids, "failed": failed}), encoding="utf-8")


def _sound(clip: Clip, whole: bool) -> Wave:
    wav = io.read(clip.path, SAMPLE_RATE, start_s=clip.start_s, duration_s=clip.duration_s)
    wav = normalise(wav if whole else trim_silence(wav))
    if not wav.any():
        raise AudioError(f"{clip.id!r}: silent all through; leave it out or record it again.")
    return wav


def _open(manifest: Manifest, folder: Path) -> tuple[Manifest, Sounds]:
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        samples = np.asarray(np.memmap(folder / _SAMPLES, dtype=np.int16, mode="r"))
        lengths = np.load(folder / _LENGTHS)
        scales = np.load(folder / _SCALES)
        row = {clip: i for i, clip in enumerate(index["ids"])}
        failed: dict[str, str] = index["failed"]
        if not len(row) == len(lengths) == len(scales) or len(samples) != lengths.sum():
            raise ValueError("its files do not fit together")
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(f"the cache folder {folder} is damaged ({error}); delete it and try again.") from error
    if failed:
        left_out = [f"{clip!r} left out: {reason}" for clip, reason in failed.items()]
        clips = tuple(clip for clip in manifest.clips if clip.id not in failed)
        manifest = replace(manifest, clips=clips, notes=(*manifest.notes, *left_out))
    # The digest does not depend on the order of the clips, so theirs in the folder can be another.
    rows = np.array([row[clip.id] for clip in manifest.clips])
    starts = np.cumsum(lengths) - lengths
    return manifest, Sounds(failed, samples, starts[rows], lengths[rows], scales[rows])
