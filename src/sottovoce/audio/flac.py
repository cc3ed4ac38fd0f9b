"""FLAC: where one file ends and the next begins, and how long its sound is (RFC 9639)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sottovoce.audio.mp3 import after_tags
from sottovoce.audio.mp3 import begins as mpeg_begins
from sottovoce.audio.ranges import Part, read_at
from sottovoce.errors import AudioError

_MOST_BLOCKS = 1000  # of metadata
_STREAMINFO = 34  # bytes
_TAIL = 1 << 16  # bytes before the end, where the last frame must begin unless frames may be longer
_LONGEST_TAIL = 1 << 20
_PIECE = 1 << 20
_IGNORED_BYTES = 512  # after the last frame
_CRC_WORDS = 32
_BEGINNINGS = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22", b"OggS\0\x02", b"RIFF", b"RF64")  # of another file
_WAVE = 8  # where WAV files have their name, behind the last two
_BLOCK_SIZES = {1: 192, **{n: 576 << (n - 2) for n in range(2, 6)}, **{n: 256 << (n - 8) for n in range(8, 16)}}
_EXTRA_RATE_BYTES = {12: 1, 13: 2, 14: 2}


def begins(handle: BinaryIO, position: int) -> bool:
    """Whether a FLAC file begins at `position`."""
    return read_at(handle, position, 4) == b"fLaC"


def walk(handle: BinaryIO, start: int, size: int) -> tuple[list[Part], int]:
    """The FLAC file from `start` on, its length put right, and where it ends."""
    info = read_at(handle, start + 8, _STREAMINFO)
    first, is_last = start + 4, False
    for _ in range(_MOST_BLOCKS):
        block = read_at(handle, first, 4)
        first += 4 + int.from_bytes(block[1:], "big")
        is_last = len(block) < 4 or bool(block[0] & 0x80)
        if is_last:
            break
    if not is_last or len(info) < _STREAMINFO or first >= size:
        raise AudioError("damaged or cut off within its header; get the file again.")
    stop = _next_file(handle, first, size)
    claimed = int.from_bytes(info[13:18], "big") & (1 << 36) - 1
    there, stop = _last_frame(handle, first, stop, info)
    if there < claimed:
        raise AudioError(f"its header claims {claimed} samples of sound but {there} are there; get the file again.")
    field = 8 + 13
    length = (info[13] & 0xF0) << 32 | there
    patches = () if there == claimed else ((field, length.to_bytes(5, "big")),)
    return [Part(start, stop, patches=patches)], stop


def _next_file(handle: BinaryIO, position: int, size: int) -> int:
    """Where another file begins behind `position`; `size` where none does."""
    while position < size:
        piece = read_at(handle, position, _PIECE + _WAVE + 4)
        found = []
        for beginning in _BEGINNINGS:
            at = piece.find(beginning)
            while at >= 0 and len(beginning) == 4 and piece[at + _WAVE : at + _WAVE + 4] != b"WAVE":
                at = piece.find(beginning, at + 1)
            found += [at] if at >= 0 else []
        if found:
            return position + min(found)
        position += _PIECE
    return size


def _last_frame(handle: BinaryIO, first: int, stop: int, info: bytes) -> tuple[int, int]:
    """How many samples there are, by the number that the last frame has, and where that frame ends."""
    longest = int.from_bytes(info[7:10], "big")
    begin = max(first, stop - min(max(_TAIL, 2 * longest), _LONGEST_TAIL))
    tail = read_at(handle, begin, stop - begin)
    alike = read_at(handle, first, 4)
    at = tail.rfind(alike[:2])
    while at >= 0:
        length = _end_of_frame(tail[at : at + 16], alike, info)
        if length is not None and not _crc16(tail[at:]):
            return length, stop
        if length is not None:
            for end in reversed([begin + at + size for size in _whole_frames(tail[at:])]):
                after = after_tags(handle, end)
                if stop - after <= _IGNORED_BYTES or mpeg_begins(handle, after):
                    return length, end
            break
        at = tail.rfind(alike[:2], 0, at + 1)
    raise AudioError("its last frame of sound is not to be found, so it is cut off or damaged; get the file again.")


def _end_of_frame(header: bytes, alike: bytes, info: bytes) -> int | None:
    """Samples up to the end of the frame with this header; None where it is none, or of another sound than `alike`."""
    if len(header) < 6 or (header[2] ^ alike[2]) & 0x0F or (header[3] ^ alike[3]) & 0x0F:
        return None
    number_bytes = max(1, 8 - (header[4] ^ 0xFF).bit_length())  # coded like a character in UTF-8
    number = header[4] & (0x7F if number_bytes == 1 else 0xFF >> (number_bytes + 1))
    for byte in header[5 : 4 + number_bytes]:
        number = number << 6 | byte & 0x3F
    at, size_code = 4 + number_bytes, header[2] >> 4
    extra = {6: 1, 7: 2}.get(size_code, 0)
    samples = int.from_bytes(header[at : at + extra], "big") + 1 if extra else _BLOCK_SIZES.get(size_code)
    at += extra + _EXTRA_RATE_BYTES.get(header[2] & 0x0F, 0)
    if samples is None or at >= len(header) or _crc8(header[:at]) != header[at]:
        return None
    varies = bool(header[1] & 1)
    return (number if varies else number * int.from_bytes(info[2:4], "big")) + samples


def _crc8(content: bytes) -> int:
    """The CRC-8 of a frame's header: x^8 + x^2 + x + 1."""
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc


@cache
def _crc16_tables() -> tuple[NDArray[np.int64], list[int]]:
    """What the CRC-16 of a frame, x^16 + x^15 + x^2 + 1, becomes after two bytes of zeros, and after `_CRC_WORDS` such.

    Two other bytes are first added to it.
    """
    one = np.arange(1 << 16)
    for _ in range(16):
        one = (one << 1 ^ (one >> 15 & 1) * 0x18005) & 0xFFFF
    many = one
    for _ in range(_CRC_WORDS - 1):
        many = one[many]
    return one, many.tolist()


def _crc16(content: bytes) -> int:
    """The CRC-16 of `content`: 0 for a whole frame, which ends with that of the rest.

    It is linear: blocks of words side by side, then the sum of what each becomes by the end.
    """
    one, many = _crc16_tables()
    padding = bytes(-len(content) % (2 * _CRC_WORDS))  # zeros at the start change nothing
    words = np.frombuffer(padding + content, ">u2").reshape(-1, _CRC_WORDS)
    crcs = np.zeros(len(words), np.int64)
    for word in words.T:
        crcs = one[crcs ^ word]
    crc = 0
    for block in crcs.tolist():
        crc = many[crc] ^ block
    return crc


def _whole_frames(content: bytes) -> Iterator[int]:
    """How many bytes of `content` may be a whole frame, shortest first."""
    crc = 0
    for size, byte in enumerate(content, start=1):
        crc ^= byte << 8
        for _ in range(8):
            crc = crc << 1 ^ (0x18005 if crc & 0x8000 else 0)
        if not crc:
            yield size
