"""Sound files out: 16-bit, whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import soundfile

from sottovoce.audio import ogg
from sottovoce.audio.io import check_rate, cleaned, file_name
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import AudioError

_CODINGS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
_SERIAL = 1  # of every Ogg stream; the encoder draws it at random
_ENCODED_SAMPLES = 2**16  # encoded at once: the Vorbis encoder keeps a whole write on its stack
_SCRATCH = re.compile(r"\.[0-9a-f]{16}\.tmp")
_ABANDONED_S = 3600.0  # without a write; a run that is at work writes many times a minute


class Writer:
    """Takes the sound of one file, in as many parts as the caller likes; made by `writing`."""

    def __init__(self, sound: soundfile.SoundFile, path: Path) -> None:
        self.samples = 0
        self._sound = sound
        self._path = path

    def write(self, wav: Wave) -> None:
        """Append `wav` [T], clipped to [-1, 1]; NaN and infinities become 0; AudioError if the disk refuses it."""
        if wav.ndim != 1:
            raise AudioError(f"{file_name(self._path)}: got sound of shape {wav.shape}; give one channel, shape [T].")
        # Scaled by 2^15 like the decoder, so that 16-bit sound that is read and written again stays the same.
        coded = np.clip(np.rint(cleaned(wav) * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
        with _write_failures_explained(self._path):
            for start in range(0, len(coded), _ENCODED_SAMPLES):
                self._sound.write(coded[start : start + _ENCODED_SAMPLES])
        self.samples += len(coded)


@contextmanager
def writing(path: str | os.PathLike[str], sample_rate: int = SAMPLE_RATE) -> Iterator[Writer]:
    """A `Writer` of the mono 16-bit file `path` (WAV, FLAC or Ogg Vorbis by its ending) at `sample_rate` Hz.

    Equal sound gives equal bytes: nothing in the file tells when, where or from what it was made.

    The file appears, whole and on disk, when the block ends; if anything fails, whatever was at `path` before is still
    there and nothing else is left. AudioError if the ending is another, no sound was written, or the disk refuses.
    """
    target = Path(path)
    if target.suffix.lower() not in _CODINGS:
        raise AudioError(f"{file_name(path)}: sound cannot be written to a name ending so; use {', '.join(_CODINGS)}.")
    container, coding = _CODINGS[target.suffix.lower()]
    sample_rate = check_rate(sample_rate)
    scratch = target.with_name(f".{secrets.token_hex(8)}.tmp")
    with ExitStack() as stack:
        with _write_failures_explained(target):
            handle = stack.enter_context(open(scratch, "xb", buffering=0))
            stack.callback(scratch.unlink, missing_ok=True)
            encoder = soundfile.SoundFile(handle.fileno(), "w", sample_rate, 1, coding, None, container, closefd=False)
            sound = stack.enter_context(encoder)
        writer = Writer(sound, target)
        yield writer
        if not writer.samples:
            raise AudioError(f"{file_name(path)}: not written, as there was no sound; give at least one sample.")
        with _write_failures_explained(target):
            sound.close()
            os.fsync(handle.fileno())
            _check_written(scratch, target, writer.samples)
            if container == "OGG":
                _fix_serial(scratch)
            os.replace(scratch, target)


def write(path: str | os.PathLike[str], wav: Wave, sample_rate: int = SAMPLE_RATE) -> None:
    """Write `wav` [T] at `sample_rate` Hz to `path`, as `writing` does."""
    with writing(path, sample_rate) as writer:
        writer.write(wav)


def remove_abandoned(folder: Path) -> None:
    """Remove from `folder`, and those in it, the unfinished files of runs that were killed more than an hour ago."""
    oldest = time.time() - _ABANDONED_S
    for place, _, names in os.walk(folder):
        for name in filter(_SCRATCH.fullmatch, names):
            path = os.path.join(place, name)
            with suppress(OSError):  # another run may be removing it too
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode) and status.st_mtime < oldest:
                    os.unlink(path)


@contextmanager
def _write_failures_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, soundfile.LibsndfileError) as error:
        # The encoder says "System error" whenever the system refuses a write, and that is nearly always a full disk.
        reason = error.strerror if isinstance(error, OSError) else f"no space left, or {error.error_string.strip(' .')}"
        message = f"{file_name(path)}: could not be written ({reason}); free some space or choose another place."
        raise AudioError(message) from error


def _fix_serial(scratch: Path) -> None:
    with open(scratch, "r+b") as file:
        ogg.set_serial(file, scratch.stat().st_size, _SERIAL)
        file.flush()
        os.fsync(file.fileno())


def _check_written(scratch: Path, target: Path, samples: int) -> None:
    """Encoders buffer, and a write that is refused while they close goes unreported; so we look."""
    with soundfile.SoundFile(scratch) as sound:
        if sound.frames != samples:
            raise AudioError(
                f"{file_name(target)}: {sound.frames} of {samples} samples could be written (no space, or too long "
                "for the format); free some space or write a shorter file."
            )
