"""M4A sound (AAC in MP4): decoded by ffmpeg, where it is installed, in a child process with limits.

The child is told to take the file for MP4 and nothing else, may open no other address, and is ended when it takes too
long, writes too much or asks for too much memory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sottovoce.errors import AudioError

ENDING = ".m4a"
LONGEST_RUN_S = 120.0
MOST_BYTES = 1 << 30  # of decoded sound: nine hours at 16 kHz
_MOST_MEMORY = 2 << 30  # bytes of the child's address space, where the system can limit it


def is_m4a(start: bytes) -> bool:
    """Whether a file that begins with these 12 bytes is MP4."""
    return start[4:8] == b"ftyp"


@contextmanager
def decoded(path: str | os.PathLike[str], name: str) -> Iterator[Path]:
    """A WAV file with the sound of the M4A file at `path`, which errors call `name`, there until the context ends.

    AudioError without ffmpeg, for what it cannot decode, and for what is beyond the limits.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(f"{name}: M4A sound, which needs ffmpeg: install it, or convert the file to WAV or FLAC.")
    with tempfile.TemporaryDirectory(prefix="sottovoce-") as scratch:
        wav = Path(scratch) / "decoded.wav"
        source = f"file:{os.path.abspath(path)}"
        takes = ["-nostdin", "-v", "error", "-protocol_whitelist", "file", "-f", "mov", "-i", source, "-map", "0:a:0"]
        gives = ["-map_metadata", "-1", "-c:a", "pcm_s16le", "-fs", str(MOST_BYTES), "-f", "wav", str(wav)]
        _run([ffmpeg, *takes, *gives], name)
        if not wav.is_file():
            raise AudioError(f"{name}: ffmpeg found no sound in it; get or make the file again.")
        if wav.stat().st_size >= MOST_BYTES:
            raise AudioError(f"{name}: more than {MOST_BYTES >> 20} MiB of sound; cut it up.")
        yield wav


def _run(command: list[str], name: str) -> None:
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError as error:
        raise AudioError(f"{name}: ffmpeg could not be started ({error.strerror}); install it again.") from error
    with child:
        _limit(child.pid)
        try:
            said = child.communicate(timeout=LONGEST_RUN_S)[1]
        except subprocess.TimeoutExpired as error:
            child.kill()
            raise AudioError(f"{name}: ffmpeg took more than {LONGEST_RUN_S:.0f} s; cut the file up.") from error
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        reason = said.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        told = ascii(reason[0].rpartition(": ")[2][:100])
        raise AudioError(f"{name}: ffmpeg cannot decode it ({told}); get or make the file again.")


def _limit(process: int) -> None:
    """Limit a child's memory, where the system can do that from outside; one that is gone already needs none."""
    try:
        from resource import RLIMIT_AS, prlimit
    except ImportError:  # not Linux: time and size are limited all the same
        return
    with suppress(ProcessLookupError):
        prlimit(process, RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
