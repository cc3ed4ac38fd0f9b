"""Ogg: pages, and the streams that they make up (RFC 3533)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sottovoce.audio.ranges import Part, read_at
from sottovoce.errors import AudioError

_HEADER = struct.Struct("<4sBBqIII")  # name, version, flags, granule position, serial number, page number, checksum
_SERIAL, _CHECKSUM = 14, 22
_BEGINS = 2
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Page:
    """A page that is whole: where it is, what it says, and its bytes."""

    start: int
    begins: bool
    position: int
    serial: int
    number: int
    content: bytes


def pages(handle: BinaryIO, start: int, size: int) -> Iterator[Page]:
    """The pages from `start` on, one behind the other; AudioError for one that is damaged or cut off."""
    while (header := read_at(handle, start, 27))[:4] == b"OggS":
        table = read_at(handle, start + 27, header[26]) if len(header) == 27 else b""
        length = 27 + len(table) + sum(table)
        content = read_at(handle, start, length)
        if start + length > size or len(content) < length or len(content) < 27:
            raise AudioError("its last page is cut off; get the file again.")
        _, _, flags, position, serial, number, checksum = _HEADER.unpack(content[:26])
        if checksum != checksum_of(content):
            raise AudioError(f"the page at byte {start} is damaged; get the file again.")
        yield Page(start, bool(flags & _BEGINS), position, serial, number, content)
        start += length


def walk(handle: BinaryIO, start: int, size: int) -> tuple[list[Part], int]:
    """The streams from `start` on, which follow each other, and where they end; AudioError where sound is missing."""
    starts: list[int] = []
    before: Page | None = None
    stop = start
    for page in pages(handle, start, size):
        if page.begins:
            if before is not None and before.begins:
                raise AudioError("it holds several streams side by side; give a file with one stream of sound.")
            starts.append(page.start)
        elif before is None or page.serial != before.serial:
            raise AudioError("it does not begin with the start of a stream; get the file again.")
        elif page.number != (before.number + 1) & 0xFFFFFFFF and before.position:  # a recording joins a live stream
            raise AudioError(f"pages are missing before byte {page.start}; get the file again.")
        before, stop = page, page.start + len(page.content)
    return [Part(*ends) for ends in zip(starts, [*starts[1:], stop], strict=True)], stop


def checksum_of(page: bytes) -> int:
    """The checksum of a page, whatever its own checksum field says.

    It is the CRC of zlib with the bits of each byte in the other order, and without the inversions.
    """
    zeroed = page[:_CHECKSUM] + bytes(4) + page[_CHECKSUM + 4 :]
    crc = zlib.crc32(zeroed.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def set_serial(handle: BinaryIO, size: int, serial: int) -> None:
    """Give every page of an Ogg file of `size` bytes this serial number; encoders draw one at random."""
    for page in pages(handle, 0, size):
        changed = page.content[:_SERIAL] + struct.pack("<I", serial) + page.content[_SERIAL + 4 :]
        checksum = struct.pack("<I", checksum_of(changed))
        handle.seek(page.start)
        handle.write(changed[:_CHECKSUM] + checksum + changed[_CHECKSUM + 4 :])
