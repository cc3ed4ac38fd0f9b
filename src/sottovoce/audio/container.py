"""What a sound file holds beside its sound: tags, unknown chunks, and bytes before, between and after its parts.

A player ignores these bytes, and whoever reads the file can hide anything in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Literal

from sottovoce.audio import m4a, ogg
from sottovoce.audio.parts import parts
from sottovoce.audio.ranges import read_at

_RIFF = (b"RIFF", b"RIFX", b"RF64")
_OF_SOUND = (b"data", b"ds64")  # chunks of a WAV file that its sound accounts for
_STREAMINFO, _SEEKTABLE = 0, 3  # blocks of a FLAC file that its sound accounts for
_MOST_CHUNKS = 1000
_LARGEST_BYTES = 1 << 24  # of what is returned: more than that says nothing new


def beside_sound(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """The bytes of the file at `path` that are no sound, by where they are: "chunk 'LIST'", "after the sound".

    AudioError for a file that is no sound.
    """
    found: dict[str, bytes] = {}
    with open(path, "rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        if m4a.demuxer(read_at(handle, 0, 12)) is not None:
            return dict(_boxes(handle, size))
        sections = parts(handle, size)
        for part in sections:
            start = read_at(handle, part.start, 4)
            walk = (
                _chunks if start in _RIFF else _blocks if start == b"fLaC" else _headers if start == b"OggS" else None
            )
            for name, content in walk(handle, part.start, part.stop) if walk else ():
                found[name] = (found.get(name, b"") + content)[:_LARGEST_BYTES]
        ends = [0, *(part.stop for part in sections)]
        starts = [*(part.start for part in sections), size]
        names = ["before the sound", *["between its parts"] * (len(sections) - 1), "after the sound"]
        for name, begin, stop in zip(names, ends, starts, strict=True):
            if stop > begin:
                found[name] = (found.get(name, b"") + read_at(handle, begin, stop - begin))[:_LARGEST_BYTES]
    return found


def _chunks(handle: BinaryIO, start: int, stop: int) -> Iterator[tuple[str, bytes]]:
    order: Literal["big", "little"] = "big" if read_at(handle, start, 4) == b"RIFX" else "little"
    position = start + 12
    for _ in range(_MOST_CHUNKS):
        head = read_at(handle, position, 8)
        if len(head) < 8 or position >= stop:
            return
        length = int.from_bytes(head[4:], order)
        if head[:4] not in _OF_SOUND:
            kept = min(length, stop - position - 8, _LARGEST_BYTES)
            yield f"chunk {head[:4].decode('latin-1')!r}", read_at(handle, position + 8, kept)
        position += 8 + length + length % 2


def _boxes(handle: BinaryIO, size: int) -> Iterator[tuple[str, bytes]]:
    """The boxes of an MP4 file but that of its media."""
    position = 0
    for _ in range(_MOST_CHUNKS):
        head = read_at(handle, position, 16)
        if len(head) < 8 or position >= size:
            return
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:], "big") if length == 1 else length or size - position
        if head[4:8] != b"mdat":
            kept = min(max(0, length - 8), _LARGEST_BYTES)
            yield f"box {head[4:8].decode('latin-1')!r}", read_at(handle, position + 8, kept)
        position += max(8, length)


def _blocks(handle: BinaryIO, start: int, stop: int) -> Iterator[tuple[str, bytes]]:
    position = start + 4
    for _ in range(_MOST_CHUNKS):
        head = read_at(handle, position, 4)
        if len(head) < 4 or position >= stop:
            return
        kind, length = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if kind not in (_STREAMINFO, _SEEKTABLE):
            yield f"metadata block {kind}", read_at(handle, position + 4, length)
        if head[0] & 0x80:
            return
        position += 4 + length


def _headers(handle: BinaryIO, start: int, stop: int) -> Iterator[tuple[str, bytes]]:
    """The pages before the first sample, and the number that the encoder gave the stream."""
    for page in ogg.pages(handle, start, stop):
        if page.position > 0:
            return
        if page.begins:
            yield "serial number", page.serial.to_bytes(4, "little")
        table = page.content[26]
        yield "header pages", page.content[27 + table :]
