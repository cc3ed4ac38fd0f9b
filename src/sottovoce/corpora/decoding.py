"""Decoding the clips of a corpus: in several processes, and in steps that are kept, so that it resumes after a kill.

The samples of all clips are appended to one file, in the order of the clips. A journal beside it says which clips are
complete; what was written after its last line is cut off when the decoding resumes. Whatever the number of processes
and of interruptions, the samples are the same bit for bit.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from sottovoce import private
from sottovoce.audio import io
from sottovoce.audio.level import normalise, trim_silence
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.corpora.manifest import Clip, Manifest
from sottovoce.errors import AudioError
from sottovoce.machine import usable_cores

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SAMPLES = "samples.int16"
FULL_SCALE = 32767

_JOURNAL = "journal.jsonl"
_PIECE = 16  # clips that a process decodes at once
_PIECES_AT_ONCE = 8  # for each process: what is decoded and not yet written is held in memory
_FEW = 1000  # clips, for which other processes are not worth starting
_KEPT_EVERY_S = 5.0


class Decoded(NamedTuple):
    """The clips that are in the file of samples, in its order, and why the others are not."""

    ids: list[str]
    lengths: list[int]  # in samples at 16 kHz
    scales: list[float]
    failed: dict[str, str]  # the reason by the clip's id

    def tried(self) -> int:
        """How many clips were decoded or could not be."""
        return len(self.ids) + len(self.failed)


Sound = tuple[NDArray[np.int16], float]  # the samples of a clip and their scale


@contextmanager
def unfinished(place: Path, otherwise: Path) -> Iterator[Path]:
    """The folder `place`, in which a decoding resumes; `otherwise` where another process is decoding there.

    It stays when the process is killed; who has used up what is in it removes it.
    """
    journal = _locked(private.private_folder(place))
    if journal is None:
        yield private.private_folder(otherwise)
        return
    with journal:
        yield place


def _locked(place: Path) -> IO[bytes] | None:
    """The journal of a folder, which no other process gets while it is open; None where one has it, or cannot lock."""
    if fcntl is None:
        return None
    with ExitStack() as stack, suppress(OSError):
        journal = stack.enter_context((place / _JOURNAL).open("ab"))
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have finished, and removed the folder, before the lock was taken.
        if os.fstat(journal.fileno()).st_ino == os.stat(place / _JOURNAL).st_ino:
            stack.pop_all()
            return journal
    return None


def decode(manifest: Manifest, folder: Path, progress: Callable[[int, int], None] | None) -> tuple[Decoded, set[str]]:
    """Write the samples of all clips to the file `SAMPLES` in `folder`, after those that an earlier call left there.

    Also returns the clips that an earlier call could not decode, and this one did not try. `progress` gets how many
    clips of how many are decoded.
    """
    clips = manifest.clips
    with (folder / _JOURNAL).open("ab+") as journal, (folder / SAMPLES).open("ab") as samples:
        done = _resumed(journal, samples, clips)
        earlier = set(done.failed)
        step, kept_at = Decoded([], [], [], {}), time.monotonic()
        for sounds in _decoded(clips[done.tried() :], manifest.whole_clips):
            for sound in sounds:
                clip = clips[done.tried() + step.tried()]
                if isinstance(sound, str):
                    step.failed[clip.id] = sound
                else:
                    samples.write(sound[0].tobytes())
                    step.ids.append(clip.id)
                    step.lengths.append(len(sound[0]))
                    step.scales.append(sound[1])
                if progress is not None:
                    progress(done.tried() + step.tried(), len(clips))
            if time.monotonic() - kept_at > _KEPT_EVERY_S:
                step, kept_at = _keep(step, done, journal, samples), time.monotonic()
        _keep(step, done, journal, samples)
    return done, earlier


def _keep(step: Decoded, done: Decoded, journal: IO[bytes], samples: IO[bytes]) -> Decoded:
    """Add a step to what is done, on the disk, too: the samples first, so that the journal never claims too much."""
    samples.flush()
    os.fsync(samples.fileno())
    journal.write(json.dumps(step._asdict()).encode() + b"\n")
    journal.flush()
    os.fsync(journal.fileno())
    _add(done, step)
    return Decoded([], [], [], {})


def _add(done: Decoded, step: Decoded) -> None:
    done.ids.extend(step.ids)
    done.lengths.extend(step.lengths)
    done.scales.extend(step.scales)
    done.failed.update(step.failed)


def _resumed(journal: IO[bytes], samples: IO[bytes], clips: Sequence[Clip]) -> Decoded:
    """What the journal says is done, as far as it fits the clips and the samples; the rest is cut off both files."""
    done, lines_bytes, samples_bytes = Decoded([], [], [], {}), 0, 0
    present = os.fstat(samples.fileno()).st_size
    journal.seek(0)
    for line in journal:
        try:
            step = Decoded(**json.loads(line))
            next_clips = {clip.id for clip in clips[done.tried() : done.tried() + step.tried()]}
            step_bytes = 2 * sum(step.lengths)
            whole = line.endswith(b"\n") and len(step.ids) == len(step.lengths) == len(step.scales)
            if not whole or {*step.ids, *step.failed} != next_clips or samples_bytes + step_bytes > present:
                break
        except (ValueError, TypeError, AttributeError):  # torn by a power cut
            break
        _add(done, step)
        lines_bytes += len(line)
        samples_bytes += step_bytes
    journal.truncate(lines_bytes)
    samples.truncate(samples_bytes)
    return done


def _decoded(clips: Sequence[Clip], whole: bool) -> Iterator[list[Sound | str]]:
    """The sounds of clips in their order, piece by piece; the reason for a clip that cannot be decoded."""
    pieces = [clips[i : i + _PIECE] for i in range(0, len(clips), _PIECE)]
    workers = min(usable_cores(), len(pieces))
    if workers < 2 or len(clips) < _FEW:
        yield from (_piece(piece, whole) for piece in pieces)
        return
    together = workers * _PIECES_AT_ONCE
    with Parallel(n_jobs=workers, max_nbytes=None) as pool:  # no sound in shared memory
        for i in range(0, len(pieces), together):
            yield from pool(delayed(_piece)(piece, whole) for piece in pieces[i : i + together])


def _piece(clips: Sequence[Clip], whole: bool) -> list[Sound | str]:
    return [_packed(clip, whole) for clip in clips]


def _packed(clip: Clip, whole: bool) -> Sound | str:
    try:
        wav = sound(clip, whole)
    except AudioError as error:
        return str(error)
    scale = np.float32(np.abs(wav).max() / FULL_SCALE)
    return np.rint(wav / scale).astype(np.int16), float(scale)


def sound(clip: Clip, whole: bool) -> Wave:
    """A clip [T] at 16 kHz and one level, without silence at its ends unless it is `whole`; AudioError if unusable."""
    wav = io.read(clip.path, SAMPLE_RATE, start_s=clip.start_s, duration_s=clip.duration_s)
    wav = normalise(wav if whole else trim_silence(wav))
    if not wav.any():
        raise AudioError(f"{clip.id!r}: silent all through; leave it out or record it again.")
    return wav
