"""Sound files in: untrusted bytes -> checked mono float32.

A header is believed only after it has been checked, and nothing is ever allocated by what it claims: a sound is decoded
in pieces of bounded size, whether it is wanted whole (`read`) or in parts (`blocks`).

A file that was cut off in its second half is read as far as it goes, where the decoder can (PCM WAV, MP3); one whose
header claims more than twice what is there is refused, and so is a file whose length its header leaves open.

M4A is read too, where ffmpeg is installed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from sottovoce.audio import m4a
from sottovoce.audio.blocks import regrouped, resampled
from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import AudioError, ConfigError

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
MOST_CHANNELS = 64
LOWEST_RATE = 4_000
HIGHEST_RATE = 384_000
LONGEST_S = 24 * 3600.0

_LOUDEST = 1e6  # 120 dB over full scale: beyond it a float sample is damage, not sound
_PIECE_SAMPLES = 2**20  # decoded at once, over all channels: 4 MiB
_MOST_CHUNKS = 1000  # of a WAV header, looked through for the one that holds the sound
_MOST_FRAMES_PER_BYTE = 8192  # the densest there is: a FLAC block of silence, 65535 frames in some 10 bytes


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file holds: `sample_rate` in Hz, `channels`, `duration_s` in seconds."""

    sample_rate: int
    channels: int
    duration_s: float


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """What the sound file at `path` holds, by its checked header; AudioError if it is not usable."""
    with _opened(path) as sound:
        return AudioInfo(sound.samplerate, sound.channels, sound.frames / sound.samplerate)


def read(
    path: str | os.PathLike[str],
    sample_rate: int = SAMPLE_RATE,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Wave:
    """The sound at `path`, from `start_s` for `duration_s` (to the end if None) -> mono [T] at `sample_rate` Hz.

    Mono is the mean of the channels. NaN, infinities and samples beyond 120 dB over full scale become 0. A slice that
    reaches past the end stops there; AudioError if it starts past the end, or if the file is not usable.
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


def file_name(path: str | os.PathLike[str]) -> str:
    """A file's name for a message, quoted and escaped: it may hold line breaks and terminal commands."""
    return repr(os.fspath(path))


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """The decoder of a file whose header has been checked; whatever goes wrong until it is closed is an AudioError."""
    name = file_name(path)
    try:
        _check_is_file(path)
        with _decodable(path, name) as decodable, open(decodable, "rb", buffering=0) as handle:
            _check_container(name, handle)
            handle.seek(0)
            with soundfile.SoundFile(handle.fileno(), closefd=False) as sound:
                _check_header(name, sound, os.fstat(handle.fileno()).st_size)
                yield sound
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror}); check its name and your right to it.") from error
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(" .") or "the data make no sense"
        raise AudioError(f"{name}: damaged or cut off ({reason}); get or make the file again.") from error


@contextmanager
def _decodable(path: str | os.PathLike[str], name: str) -> Iterator[str | os.PathLike[str]]:
    """The file itself, or, where another program has to decode it, what that program made of it."""
    with open(path, "rb") as file:
        start = file.read(12)
    if not m4a.is_m4a(start):
        yield path
        return
    with m4a.decoded(path, name) as wav:
        yield wav


def _check_is_file(path: str | os.PathLike[str]) -> None:
    if "\0" in os.fspath(path):
        raise AudioError(f"{file_name(path)}: not a file's name, as it holds a zero byte; check the name.")
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise AudioError(f"{file_name(path)}: a folder or device; name a sound file ({', '.join(ENDINGS)}).")
    if not status.st_size:
        raise AudioError(f"{file_name(path)}: an empty file; give one that holds sound.")


def _check_container(name: str, handle: BinaryIO) -> None:
    """What does not look like one of ours stays out of the decoder, which knows many more and parses some badly."""
    start = handle.read(12)
    is_wav = start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:] == b"WAVE"
    is_mp3 = start[:3] == b"ID3" or (start[:1] == b"\xff" and start[1:2] >= b"\xe0")
    if not (is_wav or is_mp3 or start[:4] in (b"fLaC", b"OggS")):
        raise AudioError(f"{name}: not WAV, FLAC, OGG or MP3 sound, by its first bytes; convert it to one of these.")
    if start[:4] in (b"RIFF", b"RIFX"):
        _check_wav_claim(name, handle, "little" if start[:4] == b"RIFF" else "big")


def _check_wav_claim(name: str, handle: BinaryIO, order: Literal["little", "big"]) -> None:
    """The decoder quietly cuts what a WAV header claims down to what is there; we want to know of the difference."""
    size = os.fstat(handle.fileno()).st_size
    position = 12
    for _ in range(_MOST_CHUNKS):
        handle.seek(position)
        head = handle.read(8)
        claimed = int.from_bytes(head[4:], order)
        position += 8
        there = max(0, size - position)
        if head[:4] == b"data" and claimed > 2 * there:
            raise AudioError(
                f"{name}: its header claims {claimed} bytes of sound but {there} are there; get the file again, or "
                "save it anew in an audio editor."
            )
        if head[:4] == b"data" or not there:
            return
        position += claimed + claimed % 2  # chunks start on even bytes


def _check_header(name: str, sound: soundfile.SoundFile, size: int) -> None:
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
        got = "vast" if vast else (repr if isinstance(sample_rate, (str, bytes)) else str)(sample_rate)[:40]
        raise ConfigError(f"sample_rate is {got} Hz; give a whole number, {LOWEST_RATE} to {HIGHEST_RATE} Hz.")
    return int(number)


def _pieces(path: str | os.PathLike[str], sample_rate: int, start_s: float, duration_s: float | None) -> Iterator[Wave]:
    """The sound that `read` returns, in pieces [T] of any length but 0."""
    sample_rate = check_rate(sample_rate)
    with _opened(path) as sound:
        rate = sound.samplerate
        length_s = sound.frames / rate
        if not (0.0 <= start_s < length_s and (duration_s is None or duration_s > 0.0)):
            asked = "all" if duration_s is None else f"{duration_s} s"
            raise AudioError(
                f"{file_name(path)}: it lasts {length_s:.3f} s, but {asked} from {start_s} s on was asked for; "
                "ask for a part of it."
            )
        start = min(round(start_s * rate), sound.frames - 1)
        stop = sound.frames if duration_s is None else round(min((start_s + duration_s) * rate, sound.frames))
        sound.seek(start)
        got = 0
        for piece in resampled(_mono(file_name(path), sound, stop - start), rate, sample_rate):
            got += len(piece)
            if len(piece):
                yield piece
        if not got:
            raise AudioError(f"{file_name(path)}: no sound is left at {sample_rate} Hz; give or ask for a longer one.")


def _mono(name: str, sound: soundfile.SoundFile, frames: int) -> Iterator[Wave]:
    """The next `frames` of `sound`, as the mean of its channels, in pieces [T]."""
    left = frames
    while left > 0:
        piece = sound.read(min(left, _PIECE_SAMPLES // sound.channels), "float32", always_2d=True)
        if not len(piece):
            break
        left -= len(piece)
        yield cleaned(piece).mean(axis=1)
    if left > frames / 2:
        raise AudioError(
            f"{name}: its header claims {frames / sound.samplerate:.3f} s of sound here but "
            f"{(frames - left) / sound.samplerate:.3f} s are there; get the file again."
        )


def cleaned(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """`samples` of any shape; what is damage and not sound becomes 0."""
    return np.where(np.abs(samples) <= _LOUDEST, samples, np.float32(0.0))  # NaN compares false
