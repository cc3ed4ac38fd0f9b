"""The parts of a sound file: ranges of bytes that a decoder reads whole, found by walking the file's own structure.

A decoder stops where the first header tells it to: after the first of several joined files, or after a length that was
written before the sound was. Here every header is followed to the end of the file, so that nothing is left unread: the
file is divided into parts, and a length that is open or wrong is put right while the decoder reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Literal

from sottovoce.audio import flac, mp3, ogg
from sottovoce.audio.ranges import Part, read_at
from sottovoce.errors import AudioError

_MOST_PARTS = 1000
_MOST_CHUNKS = 1000  # of a WAV file, before and after its sound
_IGNORED_BYTES = 512  # after the last part: tags and padding
_NOT_PASSED = (b"RIFF", b"RIFX", b"RF64", b"OggS", b"fLaC", b"data")  # files that follow, and more sound
_MPEG_LAYER_3 = 0x55  # a WAV file's name for MP3
_UNKNOWN = 0xFFFFFFFF


def parts(handle: BinaryIO, size: int) -> list[Part]:
    """The parts of the sound file of `size` bytes; AudioError, without the file's name, if some of it is no sound."""
    found: list[Part] = []
    position = 0
    while walk := _walker(handle, position):
        new, after = walk(handle, position, size)
        if not new or after <= position:
            break
        found += new
        position = after
        if len(found) > _MOST_PARTS:
            raise AudioError(f"more than {_MOST_PARTS} parts that do not continue each other; convert it to WAV.")
    if not found:
        raise AudioError("not WAV, FLAC, OGG or MP3 sound, by its first bytes; convert it to one of these.")
    position = min(mp3.after_tags(handle, position), size)
    if size - position > _IGNORED_BYTES and not _is_zero(handle, position):
        raise AudioError(
            f"{size - position} bytes after its {position} bytes of sound are neither sound nor a tag, so part of it "
            "may be missing; save it anew in an audio editor."
        )
    return found


def _walker(handle: BinaryIO, position: int) -> Callable[[BinaryIO, int, int], tuple[list[Part], int]] | None:
    """What follows the structure of the file that begins at `position`; None where none of ours does."""
    start = read_at(handle, position, 12)
    if start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:] == b"WAVE":
        return _wav
    if start[:4] == b"OggS":
        return ogg.walk
    if flac.begins(handle, mp3.after_tags(handle, position)):
        return lambda handle, start, size: flac.walk(handle, mp3.after_tags(handle, start), size)
    if start[:3] == b"ID3" or mp3.begins(handle, position):
        return mp3.walk
    return None


def _wav(handle: BinaryIO, start: int, size: int) -> tuple[list[Part], int]:
    """A WAV file from `start` on, with what its header claims of its length compared with what is there."""
    order: Literal["little", "big"] = "big" if read_at(handle, start, 4) == b"RIFX" else "little"
    position, coding, wide = start + 12, 0, 0
    for _ in range(_MOST_CHUNKS):
        chunk = read_at(handle, position, 8)
        claimed, body = int.from_bytes(chunk[4:], order), position + 8
        if chunk[:4] == b"data":
            break
        if len(chunk) < 8:
            return [Part(start, size)], size  # the decoder says what is wrong with it
        if chunk[:4] == b"fmt ":
            coding = int.from_bytes(read_at(handle, body, 2), order)
        if chunk[:4] == b"ds64":
            wide = body + 8  # where RF64 has the length of its sound, in 8 bytes
        position = body + claimed + claimed % 2  # chunks start on even bytes
    else:
        raise AudioError(f"no sound within the first {_MOST_CHUNKS} chunks of its header; save it anew.")
    field, width = (wide, 8) if wide and claimed == _UNKNOWN else (body - 4, 4)
    claimed = int.from_bytes(read_at(handle, field, width), order)
    there = max(0, size - body)
    length = there if _is_open(claimed, there) else claimed
    if not claimed and _after_chunks(handle, body, size) == size:
        length = 0  # nothing but other chunks follows
    if length > 2 * there:
        raise AudioError(
            f"its header claims {claimed} bytes of sound but {there} are there; get the file again, or save it anew "
            "in an audio editor."
        )
    length = min(length, there)
    if coding == _MPEG_LAYER_3:
        return mp3.walk(handle, body, body + length)[0], _after_chunks(handle, body + length + length % 2, size)
    patches = () if length == claimed else ((field - start, length.to_bytes(width, order)),)
    stop = _after_chunks(handle, body + length + length % 2, size)
    return [Part(start, min(stop, size), patches=patches)], min(stop, size)


def _is_open(claimed: int, there: int) -> bool:
    """Whether a length is one of those that stand for "not known yet", in 32 bits with and without a sign."""
    near_top = claimed >= _UNKNOWN - 0xFFF or 0x7FFF_F000 <= claimed <= 0x8000_0FFF
    return claimed == 0 or (near_top and claimed > there)


def _after_chunks(handle: BinaryIO, position: int, size: int) -> int:
    """Where the whole chunks of a WAV file that begin at `position` end."""
    for _ in range(_MOST_CHUNKS):
        chunk = read_at(handle, position, 8)
        after = position + 8 + int.from_bytes(chunk[4:], "little")
        if len(chunk) < 8 or not (chunk[:4].isascii() and chunk[:4].decode().isprintable()) or after > size:
            return position
        if chunk[:4] in _NOT_PASSED:
            return position
        position = min(after + after % 2, size)
    return position


def _is_zero(handle: BinaryIO, position: int) -> bool:
    while content := read_at(handle, position, 1 << 16):
        if content.strip(b"\0"):
            return False
        position += len(content)
    return True
