"""Sound files in: untrusted bytes -> checked mono float32.

A header is believed only after it has been checked, and nothing is ever allocated by what it claims: a sound is decoded
in pieces of bounded size, whether it is read whole (`read`) or in parts (`blocks`).

A file is read whole or refused: where it is several files joined into one, all of them are read, at the rate of the
first. A WAV or MP3 file that was cut off in its second half is read as far as it goes; one whose header claims more
than twice what is there is refused.

M4A and some other formats are read too, where ffmpeg is installed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from sottovoce.audio import m4a
from sottovoce.audio.blocks import regrouped, resampled
from sottovoce.audio.channels import mixed
from sottovoce.audio.parts import parts
from sottovoce.audio.ranges import Part, PartFile
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import AudioError, ConfigError

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
MOST_CHANNELS = 64
LOWEST_RATE = 4_000
HIGHEST_RATE = 384_000
LONGEST_S = 24 * 3600.0

_LOUDEST = 1e6  # 120 dB over full scale: beyond it a float sample is damage, not sound
_PIECE_SAMPLES = 2**20  # decoded at once, over all channels: 4 MiB
_FILE_BUFFER = 1 << 16
_LATE_SAMPLES = 4608  # that a decoder may lack at the end: one block, or two frames, of the largest kinds
_MOST_FRAMES_PER_BYTE = 8192  # the densest there is: a FLAC block of silence, 65535 frames in some 10 bytes
_MOST_KNOWN = 64
_known_parts: dict[tuple[int, ...], list[Part]] = {}


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file holds: `sample_rate` in Hz, `channels`, `duration_s` in seconds."""

    sample_rate: int
    channels: int
    duration_s: float


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """What the sound file at `path` holds, by its checked headers; AudioError if it is not usable.

    Where it is several files joined into one, the rate and the channels are those of the first.
    """
    with _opened(path) as (_, sections):
        first = sections[0]
        return AudioInfo(first.sample_rate, first.channels, sum(section.duration_s for section in sections))


def read(
    path: str | os.PathLike[str],
    sample_rate: int = SAMPLE_RATE,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Wave:
    """The sound at `path`, from `start_s` for `duration_s` (to the end if None) -> mono [T] at `sample_rate` Hz.

    Mono is the mean of the channels, or, where they cancel each other, one of them (`channels.mixed`). NaN, infinities
    and samples beyond 120 dB over full scale become 0. A slice that reaches past the end stops there; AudioError if it
    starts past the end, or if the file is not usable.
    """
    return np.concatenate(list(_pieces(path, sample_rate, start_s, duration_s)))


def blocks(path: str | os.PathLike[str], sample_rate: int = SAMPLE_RATE, *, block_s: float = 30.0) -> Iterator[Wave]:
    """The sound that `read` returns, in bounded memory: blocks [block_s * sample_rate], the last one shorter.

    AudioError, while iterating, if the file is not usable.
    """
    size = round(block_s * check_rate(sample_rate))
    if size < 1:
        raise ConfigError(f"block_s is {block_s}, less than one sample of sound; give seconds above 0.")
    yield from regrouped(_pieces(path, sample_rate, 0.0, None), size)


def native(path: str | os.PathLike[str]) -> tuple[NDArray[np.float64], int, str]:
    """The samples [T, C] at `path` as they are, their rate in Hz, and the kind of the file, such as "WAV PCM_16".

    Where several files are joined into one, those of another rate or other channels than the first are left out.
    """
    with _opened(path) as (handle, sections):
        found = []
        for section in sections:
            with _decoder(handle, section.part) as sound:
                kind = f"{sound.format} {sound.subtype}"
                found.append((sound.read(dtype="float64", always_2d=True), sound.samplerate, kind))
        first, rate, kind = found[0]
        alike = [samples for samples, other, _ in found if (other, samples.shape[1]) == (rate, first.shape[1])]
        return np.concatenate(alike), rate, kind


def file_name(path: str | os.PathLike[str]) -> str:
    """A file's name for a message, quoted and escaped: it may hold line breaks and terminal commands."""
    return repr(os.fspath(path))


@dataclass(frozen=True)
class _Section:
    """A part of a file and what its header says: `frames` are samples in each channel."""

    part: Part
    sample_rate: int
    channels: int
    frames: int

    @property
    def duration_s(self) -> float:
        return self.frames / self.sample_rate


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[BinaryIO, list[_Section]]]:
    """A file and its sections, their headers checked; whatever goes wrong until it is closed is an AudioError."""
    name = file_name(path)
    try:
        _check_is_file(path)
        with _decodable(path, name) as decodable, open(decodable, "rb", buffering=_FILE_BUFFER) as handle:
            size = os.fstat(handle.fileno()).st_size
            sections = []
            for part in _parts(name, handle):
                with _decoder(handle, part) as sound:
                    _check_header(name, sound, size, part)
                    sections.append(_Section(part, sound.samplerate, sound.channels, sound.frames))
            if sum(section.duration_s for section in sections) > LONGEST_S:
                raise AudioError(f"{name}: it lasts more than {LONGEST_S / 3600:.0f} hours; cut it up.")
            yield handle, sections
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror}); check its name and your right to it.") from error
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(" .") or "the data make no sense"
        raise AudioError(f"{name}: damaged or cut off ({reason}); get or make the file again.") from error


def _parts(name: str, handle: BinaryIO) -> list[Part]:
    """The parts of a file; remembered, since many slices of one long recording are read one after the other."""
    status = os.fstat(handle.fileno())
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    found = _known_parts.get(key)
    if found is None:
        try:
            found = parts(handle, status.st_size)
        except AudioError as error:
            raise AudioError(f"{name}: {error}") from error
        if len(_known_parts) >= _MOST_KNOWN:
            _known_parts.clear()
        _known_parts[key] = found
    return found


@contextmanager
def _decoder(handle: BinaryIO, part: Part) -> Iterator[soundfile.SoundFile]:
    """The decoder of one part; OSError, when it is done with, if the part could not be read."""
    file = PartFile(handle, part)
    try:
        with soundfile.SoundFile(file) as sound:
            yield sound
    finally:
        if file.error is not None:
            raise file.error


@contextmanager
def _decodable(path: str | os.PathLike[str], name: str) -> Iterator[str | os.PathLike[str]]:
    """The file itself, or, where another program has to decode it, what that program made of it."""
    with open(path, "rb") as file:
        container = m4a.demuxer(file.read(12))
    if container is None:
        yield path
        return
    with m4a.decoded(path, name, container) as wav:
        yield wav


def _check_is_file(path: str | os.PathLike[str]) -> None:
    if "\0" in os.fspath(path):
        raise AudioError(f"{file_name(path)}: not a file's name, as it holds a zero byte; check the name.")
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise AudioError(f"{file_name(path)}: a folder or device; name a sound file ({', '.join(ENDINGS)}).")
    if not status.st_size:
        raise AudioError(f"{file_name(path)}: an empty file; give one that holds sound.")


def _check_header(name: str, sound: soundfile.SoundFile, size: int, part: Part) -> None:
    rate, channels, frames = sound.samplerate, sound.channels, sound.frames
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"{name}: its sample rate is {rate} Hz; give {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
    if channels > MOST_CHANNELS:
        raise AudioError(f"{name}: it has {channels} channels; give at most {MOST_CHANNELS}.")
    if frames <= 0:
        raise AudioError(f"{name}: its length is zero; give a file that holds sound.")
    if frames > LONGEST_S * rate:
        raise AudioError(f"{name}: its header claims more than {LONGEST_S / 3600:.0f} hours or no length; cut it up.")
    if frames > _MOST_FRAMES_PER_BYTE * size:
        raise AudioError(f"{name}: its header claims {frames} samples, more than {size} bytes can hold; get it again.")
    if frames < part.least_frames:
        raise AudioError(f"{name}: {frames} of at least {part.least_frames} samples can be decoded; convert it to WAV.")


def check_rate(sample_rate: Any) -> int:
    """A sample rate in Hz, given as any number that is whole, such as 16000.0 or a number of numpy.

    ConfigError for what is no number, is not whole, or lies outside of what is supported.
    """
    try:
        number = float("nan") if isinstance(sample_rate, (bool, np.bool_, str, bytes)) else float(sample_rate)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not number.is_integer() or not LOWEST_RATE <= number <= HIGHEST_RATE:
        vast = isinstance(sample_rate, int) and abs(sample_rate) > 10**30  # Python refuses to write all of its digits
        shown = "vast" if vast else (repr if isinstance(sample_rate, (str, bytes)) else str)(sample_rate)[:40]
        got = " ".join(shown.split())
        raise ConfigError(f"sample_rate is {got} Hz; give a whole number, {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
    return int(number)


def _pieces(path: str | os.PathLike[str], sample_rate: int, start_s: float, duration_s: float | None) -> Iterator[Wave]:
    """The sound that `read` returns, in pieces [T] of any length but 0."""
    sample_rate = check_rate(sample_rate)
    name = file_name(path)
    with _opened(path) as (handle, sections):
        length_s = sum(section.duration_s for section in sections)
        if not (0.0 <= start_s < length_s and (duration_s is None or duration_s > 0.0)):
            asked = "all" if duration_s is None else f"{duration_s} s"
            raise AudioError(
                f"{name}: it lasts {length_s:.3f} s, but {asked} from {start_s} s on was asked for; "
                "ask for a part of it."
            )
        got = 0
        for section in sections:
            rate, frames = section.sample_rate, section.frames
            start = min(round(start_s * rate), frames if section is not sections[-1] else frames - 1)
            stop = frames if duration_s is None else round(min((start_s + duration_s) * rate, frames))
            if start < stop:
                with _decoder(handle, section.part) as sound:
                    for piece in resampled(_mono(name, sound, start, stop), rate, sample_rate):
                        got += len(piece)
                        if len(piece):
                            yield piece
            # What is left to pass over, and to read, in the sections that follow.
            if duration_s is not None:
                duration_s = max(0.0, start_s + duration_s - section.duration_s) - max(
                    0.0, start_s - section.duration_s
                )
            start_s = max(0.0, start_s - section.duration_s)
        if not got:
            raise AudioError(f"{name}: no sound is left at {sample_rate} Hz; give or ask for a longer one.")


def _mono(name: str, sound: soundfile.SoundFile, start: int, stop: int) -> Iterator[Wave]:
    """Samples `start` to `stop` of `sound` as one channel, in pieces [T]."""
    return mixed(lambda first: _decoded(name, sound, first, stop), start, sound.samplerate)


def _decoded(name: str, sound: soundfile.SoundFile, start: int, stop: int) -> Iterator[NDArray[np.float32]]:
    """Samples `start` to `stop` of `sound`, in pieces [T, C]."""
    if start and sound.seekable():
        sound.seek(start)
    position = start if sound.seekable() else 0
    while position < stop:
        piece = sound.read(min(stop - position, _PIECE_SAMPLES // sound.channels), "float32", always_2d=True)
        if not len(piece):
            break
        position += len(piece)
        if position > start:
            yield cleaned(piece[max(0, len(piece) - (position - start)) :])
    if stop - position > _LATE_SAMPLES:
        raise AudioError(
            f"{name}: its header claims {stop / sound.samplerate:.3f} s of sound but "
            f"{position / sound.samplerate:.3f} s are there; get the file again."
        )


def cleaned(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """`samples` of any shape; what is damage and not sound becomes 0."""
    return np.where(np.abs(samples) <= _LOUDEST, samples, np.float32(0.0))  # NaN compares false
