"""Sound files, folders of them, and raw streams, through a filter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sottovoce import __version__
from sottovoce.audio import io, writer
from sottovoce.audio.spectrum import Wave
from sottovoce.errors import AudioError, ConfigError, SottovoceError
from sottovoce.runtime.filter import Filter
from sottovoce.runtime.pacing import paced

_WRITTEN_AS_READ = (".wav", ".flac", ".ogg")
_BLOCK_BYTES = 1 << 16


@dataclass
class Outcome:
    """What became of the files: written, found finished, or failed and why; and how much sound was protected."""

    done: list[Path] = field(default_factory=list)
    finished: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    seconds_of_audio: float = 0.0


def protect(
    permit: Filter,
    source: Path,
    out: Path,
    sample_rate: int | None = None,
    report: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> Outcome:
    """Write what may be heard of the sound file `source`, or of all those in that folder, to `out`.

    Output has the rate of its file, or `sample_rate` Hz; its ending too, but MP3 becomes WAV. What is at its place is
    replaced, whole or not at all; but of a folder, outputs that are newer than their originals and say in their comment
    that the same filter made them are left, so that a run that was stopped goes on. `workers` files are worked on at
    once; `report` is told how many of how many are done. A file that fails is named in the outcome, and the others are
    done. AudioError where there is nothing to do, or where an input would be replaced.
    """
    if sample_rate is not None and not io.LOWEST_RATE <= sample_rate <= io.HIGHEST_RATE:
        raise ConfigError(f"sample_rate is {sample_rate} Hz; give {io.LOWEST_RATE} to {io.HIGHEST_RATE} Hz.")
    outcome = Outcome()
    jobs = _jobs(source, out)
    first = {target: sound for sound, target in reversed(jobs)}
    mark = _mark(permit, sample_rate)

    def one(sound: Path, target: Path) -> float | None:
        """Seconds of sound protected; None where that was done before."""
        if first[target] != sound:
            raise AudioError(f"{str(sound)!r}: its output is that of {str(first[target])!r} too; rename one.")
        if source.is_dir() and _is_finished(sound, target, mark):
            return None
        return _protect_file(permit, sound, target, sample_rate, mark)

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(one, *job) for job in jobs]
        try:
            for count, ((sound, target), work) in enumerate(zip(jobs, running, strict=True), start=1):
                try:
                    seconds = work.result()
                except SottovoceError as error:
                    outcome.failed[sound] = str(error)
                else:
                    (outcome.finished if seconds is None else outcome.done).append(target)
                    outcome.seconds_of_audio += seconds or 0.0
                if report is not None:
                    report(count, len(jobs))
        except BaseException:  # whoever stops it does not wait for the files that were not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcome


def protect_stream(permit: Filter, source: BinaryIO, out: BinaryIO, sample_rate: int) -> float:
    """Raw 16-bit little-endian mono PCM at `sample_rate` Hz from `source` to `out`, to its end -> its seconds.

    It comes out as it becomes ready, as much as came in `Stream.latency_samples` before. AudioError where `out` takes
    no more.
    """
    samples = 0
    for piece in permit.pieces(paced(_pcm_blocks(source), permit.block_s, sample_rate), sample_rate):
        if not len(piece):
            continue
        coded = np.clip(np.rint(piece * 2.0**15), -(2**15), 2**15 - 1).astype("<i2")
        try:
            out.write(coded.tobytes())
            out.flush()
        except OSError as error:
            raise AudioError(f"the output takes no more sound ({error.strerror}); check what reads it.") from error
        samples += len(coded)
    return samples / sample_rate


def _jobs(source: Path, out: Path) -> list[tuple[Path, Path]]:
    """Every file to do and the one to write; AudioError where that would lose an input."""
    if not source.exists():
        raise AudioError(f"{str(source)!r}: there is no such file or folder; check the name.")
    if not source.is_dir():
        jobs = [(source, out / _output_name(Path(source.name)) if out.is_dir() else out)]
    else:
        if out.resolve().is_relative_to(source.resolve()):
            raise AudioError(f"{str(out)!r}: inside the folder of the originals; choose a place outside it.")
        jobs = [(sound, out / _output_name(sound.relative_to(source))) for sound in _sounds_in(source)]
        if not jobs:
            raise AudioError(f"{str(source)!r}: no sound in this folder; expected {', '.join(io.ENDINGS)} files.")
    inputs = {sound.resolve() for sound, _ in jobs}
    for _, target in jobs:
        if target.resolve() in inputs:
            raise AudioError(f"{str(target)!r}: an original that would be written over; choose another place.")
    return jobs


def _sounds_in(folder: Path) -> list[Path]:
    """The sound files in `folder` and the folders in it, sorted, but for hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in io.ENDINGS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _output_name(path: Path) -> Path:
    return path if path.suffix.lower() in _WRITTEN_AS_READ else path.with_suffix(".wav")


def _mark(permit: Filter, sample_rate: int | None) -> str:
    """What the comment of an output says: which filter made it and how, and nothing of what it was made from."""
    told = [__version__, permit.digest, *permit.permit, str(permit.constant_blocks), str(sample_rate)]
    return f"sottovoce {hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}" if permit.digest else ""


def _is_finished(source: Path, target: Path, mark: str) -> bool:
    """Whether `target` is what would be made of `source` now: files appear whole or not at all."""
    if not mark or not target.is_file() or target.stat().st_mtime_ns <= source.stat().st_mtime_ns:
        return False
    return writer.comment_of(target) == mark


def _protect_file(permit: Filter, source: Path, target: Path, sample_rate: int | None, mark: str) -> float:
    rate = io.info(source).sample_rate
    to_rate = sample_rate or rate
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"{str(target.parent)!r}: no folder can be made there ({error.strerror}).") from error
    with writer.writing(target, to_rate, mark) as file:
        for piece in permit.pieces(io.blocks(source, rate), rate, to_rate):
            file.write(piece)
    return file.samples / to_rate


def _pcm_blocks(source: BinaryIO) -> Iterator[Wave]:
    """Samples of raw PCM as they come; half a sample at the end is dropped."""
    read = getattr(source, "read1", source.read)  # what is there, without waiting for a whole block
    left = b""
    while content := read(_BLOCK_BYTES):
        content = left + content
        whole = len(content) - len(content) % 2
        left = content[whole:]
        yield np.frombuffer(content[:whole], "<i2").astype(np.float32) / np.float32(2.0**15)
