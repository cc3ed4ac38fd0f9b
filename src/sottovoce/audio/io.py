"""Sound files in and out: untrusted bytes -> checked mono float32, and back without leaving half a file.

A header is believed only after it has been checked, and nothing is ever allocated by what it claims: a sound is decoded
in pieces of bounded size, whether it is wanted whole (`read`) or in parts (`blocks`).

A file that was cut off in its second half is read as far as it goes, where the decoder can (PCM WAV, MP3); one whose
header claims more than twice what is there is refused, and so is a file whose length its header leaves open.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from sottovoce.audio.spectrum import SAMPLE_RATE, Wave
from sottovoce.errors import AudioError, ConfigError

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
MOST_CHANNELS = 64
LOWEST_RATE = 4_000
HIGHEST_RATE = 384_000
LONGEST_S = 24 * 3600.0

_CODINGS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
_LOUDEST = 1e6  # 120 dB over full scale: beyond it a float sample is damage, not sound
_PIECE_SAMPLES = 2**20  # decoded at once, over all channels: 4 MiB
_ENCODED_SAMPLES = 2**16  # encoded at once: the Vorbis encoder keeps a whole write on its stack
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
    size = round(block_s * sample_rate)
    if size < 1:
        raise ConfigError(f"block_s is {block_s}, less than one sample of sound; give seconds above 0.")
    held: list[Wave] = []
    count = 0
    for piece in _pieces(path, sample_rate, 0.0, None):
        held.append(piece)
        count += len(piece)
        if count >= size:
            joined = np.concatenate(held)
            whole = count - count % size
            yield from (joined[start : start + size] for start in range(0, whole, size))
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)


class Writer:
    """Takes the sound of one file, in as many parts as the caller likes; made by `writing`."""

    def __init__(self, sound: soundfile.SoundFile, path: Path) -> None:
        self.samples = 0
        self._sound = sound
        self._path = path

    def write(self, wav: Wave) -> None:
        """Append `wav` [T], clipped to [-1, 1]; NaN and infinities become 0; AudioError if the disk refuses it."""
        if wav.ndim != 1:
            raise AudioError(f"{_name(self._path)}: got sound of shape {wav.shape}; give one channel, shape [T].")
        # Scaled by 2^15 like the decoder, so that 16-bit sound that is read and written again stays the same.
        coded = np.clip(np.rint(_cleaned(wav) * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
        with _write_failures_explained(self._path):
            for start in range(0, len(coded), _ENCODED_SAMPLES):
                self._sound.write(coded[start : start + _ENCODED_SAMPLES])
        self.samples += len(coded)


@contextmanager
def writing(path: str | os.PathLike[str], sample_rate: int = SAMPLE_RATE) -> Iterator[Writer]:
    """A `Writer` of the mono 16-bit file `path` (WAV, FLAC or Ogg Vorbis by its ending) at `sample_rate` Hz.

    The file appears, whole and on disk, when the block ends; if anything fails, whatever was at `path` before is still
    there and nothing else is left. AudioError if the ending is another, no sound was written, or the disk refuses.
    """
    target = Path(path)
    if target.suffix.lower() not in _CODINGS:
        raise AudioError(f"{_name(path)}: sound cannot be written to a name ending so; use {', '.join(_CODINGS)}.")
    container, coding = _CODINGS[target.suffix.lower()]
    _check_wanted_rate(sample_rate)
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
            raise AudioError(f"{_name(path)}: not written, as there was no sound to write; give at least one sample.")
        with _write_failures_explained(target):
            sound.close()
            os.fsync(handle.fileno())
            _check_written(scratch, target, writer.samples)
            os.replace(scratch, target)


def write(path: str | os.PathLike[str], wav: Wave, sample_rate: int = SAMPLE_RATE) -> None:
    """Write `wav` [T] at `sample_rate` Hz to `path`, as `writing` does."""
    with writing(path, sample_rate) as writer:
        writer.write(wav)


def _name(path: str | os.PathLike[str]) -> str:
    return repr(os.fspath(path))  # quoted and escaped: a file's name may hold line breaks and terminal commands


# Reading


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """The decoder of a file whose header has been checked; whatever goes wrong until it is closed is an AudioError."""
    name = _name(path)
    try:
        _check_is_file(path)
        with open(path, "rb", buffering=0) as handle:
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


def _check_is_file(path: str | os.PathLike[str]) -> None:
    if "\0" in os.fspath(path):
        raise AudioError(f"{_name(path)}: not a file's name, as it holds a zero byte; check the name.")
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise AudioError(f"{_name(path)}: a folder or device, not a sound file; name a file ({', '.join(ENDINGS)}).")
    if not status.st_size:
        raise AudioError(f"{_name(path)}: an empty file; give one that holds sound.")


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


def _check_wanted_rate(sample_rate: int) -> None:
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise ConfigError(f"sample_rate is {sample_rate} Hz; give {LOWEST_RATE} to {HIGHEST_RATE} Hz.")


def _pieces(path: str | os.PathLike[str], sample_rate: int, start_s: float, duration_s: float | None) -> Iterator[Wave]:
    """The sound that `read` returns, in pieces [T] of any length but 0."""
    _check_wanted_rate(sample_rate)
    with _opened(path) as sound:
        rate = sound.samplerate
        length_s = sound.frames / rate
        if not (0.0 <= start_s < length_s and (duration_s is None or duration_s > 0.0)):
            asked = "all" if duration_s is None else f"{duration_s} s"
            raise AudioError(
                f"{_name(path)}: it lasts {length_s:.3f} s, but {asked} from {start_s} s on was asked for; "
                "ask for a part of it."
            )
        start = min(round(start_s * rate), sound.frames - 1)
        stop = sound.frames if duration_s is None else round(min((start_s + duration_s) * rate, sound.frames))
        sound.seek(start)
        got = 0
        for piece in _resampled(_mono(_name(path), sound, stop - start), rate, sample_rate):
            got += len(piece)
            if len(piece):
                yield piece
        if not got:
            raise AudioError(f"{_name(path)}: no sound is left at {sample_rate} Hz; give or ask for a longer one.")


def _mono(name: str, sound: soundfile.SoundFile, frames: int) -> Iterator[Wave]:
    """The next `frames` of `sound`, as the mean of its channels, in pieces [T]."""
    left = frames
    while left > 0:
        piece = sound.read(min(left, _PIECE_SAMPLES // sound.channels), "float32", always_2d=True)
        if not len(piece):
            break
        left -= len(piece)
        yield _cleaned(piece).mean(axis=1)
    if left > frames / 2:
        raise AudioError(
            f"{name}: its header claims {frames / sound.samplerate:.3f} s of sound here but "
            f"{(frames - left) / sound.samplerate:.3f} s are there; get the file again."
        )


def _cleaned(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.abs(samples) <= _LOUDEST, samples, np.float32(0.0))  # NaN compares false


def _resampled(pieces: Iterable[Wave], from_hz: int, to_hz: int) -> Iterator[Wave]:
    """The same sound at `to_hz`, in pieces [T], some of them empty."""
    if from_hz == to_hz:
        yield from pieces
        return
    resampler = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
    for piece in pieces:
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


# Writing


@contextmanager
def _write_failures_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, soundfile.LibsndfileError) as error:
        # The encoder says "System error" whenever the system refuses a write, and that is nearly always a full disk.
        reason = error.strerror if isinstance(error, OSError) else f"no space left, or {error.error_string.strip(' .')}"
        message = f"{_name(path)}: could not be written ({reason}); free some space or choose another place."
        raise AudioError(message) from error


def _check_written(scratch: Path, target: Path, samples: int) -> None:
    """Encoders buffer, and a write that is refused while they close goes unreported; so we look."""
    with soundfile.SoundFile(scratch) as sound:
        if sound.frames != samples:
            raise AudioError(
                f"{_name(target)}: {sound.frames} of {samples} samples could be written (no space left, or too long "
                "for the format); free some space or write a shorter file."
            )
