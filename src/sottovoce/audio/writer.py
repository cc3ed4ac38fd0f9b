"""Sound files out: 16-bit, whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import soundfile

from sottovoce.audio.io import check_rate, cleaned, file_name
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import AudioError

_CODINGS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
_ENCODED_SAMPLES = 2**16  # encoded at once: the Vorbis encoder keeps a whole write on its stack


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
def writing(path: str | os.PathLike[str], sample_rate: int = SAMPLE_RATE, comment: str = "") -> Iterator[Writer]:
    """A `Writer` of the mono 16-bit file `path` (WAV, FLAC or Ogg Vorbis by its ending) at `sample_rate` Hz.

    A `comment` is written into the file; `comment_of` reads it.

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
        if comment:
            sound.comment = comment
        writer = Writer(sound, target)
        yield writer
        if not writer.samples:
            raise AudioError(f"{file_name(path)}: not written, as there was no sound; give at least one sample.")
        with _write_failures_explained(target):
            sound.close()
            os.fsync(handle.fileno())
            _check_written(scratch, target, writer.samples)
            os.replace(scratch, target)


def write(path: str | os.PathLike[str], wav: Wave, sample_rate: int = SAMPLE_RATE) -> None:
    """Write `wav` [T] at `sample_rate` Hz to `path`, as `writing` does."""
    with writing(path, sample_rate) as writer:
        writer.write(wav)


def comment_of(path: str | os.PathLike[str]) -> str:
    """The comment in a sound file, such as `writing` put there; empty where there is no such file or no comment."""
    try:
        with open(path, "rb") as file, soundfile.SoundFile(file) as sound:  # which takes names in UTF-8 alone
            return str(sound.comment)
    except (OSError, soundfile.LibsndfileError):
        return ""


@contextmanager
def _write_failures_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, soundfile.LibsndfileError) as error:
        # The encoder says "System error" whenever the system refuses a write, and that is nearly always a full disk.
        reason = error.strerror if isinstance(error, OSError) else f"no space left, or {error.error_string.strip(' .')}"
        message = f"{file_name(path)}: could not be written ({reason}); free some space or choose another place."
        raise AudioError(message) from error


def _check_written(scratch: Path, target: Path, samples: int) -> None:
    """Encoders buffer, and a write that is refused while they close goes unreported; so we look."""
    with soundfile.SoundFile(scratch) as sound:
        if sound.frames != samples:
            raise AudioError(
                f"{file_name(target)}: {sound.frames} of {samples} samples could be written (no space, or too long "
                "for the format); free some space or write a shorter file."
            )
