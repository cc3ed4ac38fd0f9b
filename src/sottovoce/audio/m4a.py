"""M4A sound (AAC in MP4) and that in other containers: decoded by ffmpeg, where it is installed, in a limited child.

The child takes the file for what its first bytes say and nothing else, may open no other address, and is
ended when it takes too long, writes too much or asks for too much memory. Where it reports any error, the file is
refused, since ffmpeg leaves out what it cannot decode and says that all went well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

from sottovoce.errors import AudioError

ENDING = ".m4a"
LONGEST_RUN_S = 120.0
MOST_BYTES = 1 << 30  # of decoded sound: nine hours at 16 kHz
_BEGINNINGS = {
    b"riff\x2e\x91\xcf\x11": "w64",
    b".snd": "au",
    b"\x1a\x45\xdf\xa3": "matroska",
    b"\xff\xf1": "aac",
    b"\xff\xf9": "aac",
}
_OPEN = {"w64": (0, 8, 2**63 - 1, 2**64 - 1), "aiff": (0, 8, 2**31 - 1, 2**32 - 1)}  # lengths that tell none
_MOST_CHUNKS = 100  # before the sound
_PADDING = 8  # bytes that a length may leave out
_MOST_MEMORY = 2 << 30  # bytes of the child's address space, where the system can limit it


def demuxer(start: bytes) -> str | None:
    """What ffmpeg calls the container of a file that begins with these 12 bytes; None where it is none of these."""
    if start[4:8] == b"ftyp":
        return "mov"
    if start[:4] == b"FORM" and start[8:] in (b"AIFF", b"AIFC"):
        return "aiff"
    return next((name for magic, name in _BEGINNINGS.items() if start.startswith(magic)), None)


@contextmanager
def decoded(path: str | os.PathLike[str], name: str, container: str) -> Iterator[Path]:
    """A WAV file with the sound of the file at `path`, which errors call `name`, there until the context ends.

    `container` is what `demuxer` says of it.

    AudioError without ffmpeg, for what it cannot decode, and for what is beyond the limits.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        kind = "M4A" if container == "mov" else container.upper()
        raise AudioError(f"{name}: {kind} sound, which needs ffmpeg: install it, or convert the file to WAV or FLAC.")
    with tempfile.TemporaryDirectory(prefix="sottovoce-") as scratch:
        lengths = _open_lengths(path, container)
        if lengths:  # which ffmpeg writes to a pipe and does not read
            path = shutil.copyfile(path, Path(scratch) / "original")
            with open(path, "r+b") as file:
                for position, length in lengths.items():
                    file.seek(position)
                    file.write(length)
        _check_length(path, name, container)
        wav = Path(scratch) / "decoded.wav"
        source = f"file:{os.path.abspath(path)}"
        takes = ["-nostdin", "-xerror", "-v", "error", "-protocol_whitelist", "file", "-f"]
        takes += [container, "-i", source, "-map", "0:a"]
        gives = ["-map_metadata", "-1", "-c:a", "pcm_s16le", "-fs", str(MOST_BYTES), "-f", "wav", str(wav)]
        _run([ffmpeg, *takes, *gives], name)
        if not wav.is_file():
            raise AudioError(f"{name}: ffmpeg found no sound in it; get or make the file again.")
        if wav.stat().st_size >= MOST_BYTES:
            raise AudioError(f"{name}: more than {MOST_BYTES >> 20} MiB of sound; cut it up.")
        yield wav


def _open_lengths(path: str | os.PathLike[str], container: str) -> dict[int, bytes]:
    """The lengths that a W64 or AIFF file left open, as it came through a pipe: where each stands -> what it is."""
    if container not in _OPEN:
        return {}
    is_w64 = container == "w64"
    name, width = (16, 8) if is_w64 else (4, 4)  # bytes of a chunk's name and length; W64 counts both in the length
    order: Literal["little", "big"] = "little" if is_w64 else "big"
    counted = 0 if is_w64 else name + width
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        position, found = 0, {}
        for _ in range(_MOST_CHUNKS):
            file.seek(min(position, size))
            head = file.read(name + width)
            length = int.from_bytes(head[name:], order)
            is_sound = head[:4] in (b"data", b"SSND")
            if position == 0 or is_sound:
                if length not in _OPEN[container]:
                    return {}
                true = min(max(0, size - position - counted), 2 ** (8 * width) - 1)
                found[position + name] = true.to_bytes(width, order)
            if is_sound:
                return found
            step = counted + length + -length % (8 if is_w64 else 2)
            position += max(step, name + width) if position else name + width + name
    return {}


def _check_length(path: str | os.PathLike[str], name: str, container: str) -> None:
    """Refuse a file that is cut off, or several joined into one: of these ffmpeg decodes a part without a word."""
    size = os.path.getsize(path)
    claimed = size
    with open(path, "rb") as file:
        start = file.read(24)
        if container == "aiff":
            claimed = 8 + int.from_bytes(start[4:8], "big")
        elif container == "w64":
            claimed = int.from_bytes(start[16:24], "little")
        elif container == "au" and start[8:12] != b"\xff\xff\xff\xff":
            claimed = int.from_bytes(start[4:8], "big") + int.from_bytes(start[8:12], "big")
        elif container == "mov":
            claimed = _end_of_boxes(file, size)
    if abs(claimed - size) > _PADDING:
        raise AudioError(f"{name}: its header claims {claimed} bytes but {size} are there; get or make the file again.")


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """Where the boxes of an MP4 file end, or a second file begins."""
    position = 0
    while position < size:
        file.seek(position)
        box = file.read(16)
        length = int.from_bytes(box[:4], "big")
        if position and box[4:8] == b"ftyp":
            break
        if length == 0:  # to the end of the file
            return size
        if length == 1:
            length = int.from_bytes(box[8:16], "big")
        if length < 8:
            break
        position += length
    return position


def _run(command: list[str], name: str) -> None:
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise AudioError(f"{name}: ffmpeg could not be started ({error.strerror}); install it again.") from error
    with child:
        _limit(child.pid)
        try:
            errors = child.communicate(timeout=LONGEST_RUN_S)[1]
        except subprocess.TimeoutExpired as error:
            child.kill()
            raise AudioError(f"{name}: ffmpeg took more than {LONGEST_RUN_S:.0f} s; cut the file up.") from error
        except BaseException:
            child.kill()
            raise
    if child.returncode or errors.strip():
        reason = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        shown = ascii(reason[0].rpartition(": ")[2][:100])
        raise AudioError(f"{name}: ffmpeg cannot decode it ({shown}); get or make the file again.")


def _limit(process: int) -> None:
    """Limit a child's memory, where the system can do that from outside; one that is gone already needs none."""
    try:
        from resource import RLIMIT_AS, prlimit
    except ImportError:  # not Linux: time and size are limited all the same
        return
    with suppress(ProcessLookupError):
        prlimit(process, RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
