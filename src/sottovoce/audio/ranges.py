"""Ranges of bytes of a file, read like files of their own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Part:
    """Bytes `start` to `stop` of a file: one sound for a decoder, once `head` is put before and `patches` are made.

    `patches` are (offset in the range, bytes that replace what is there). `least_frames` is how many samples in each
    channel the decoder has to announce; 0: that is not known.
    """

    start: int
    stop: int
    head: bytes = b""
    patches: tuple[tuple[int, bytes], ...] = ()
    least_frames: int = 0


class PartFile:
    """A part as a decoder reads it; `error` is what the system said where a read failed."""

    def __init__(self, handle: BinaryIO, part: Part) -> None:
        self.error: OSError | None = None
        self._handle, self._part = handle, part
        self._position, self._size = 0, len(part.head) + part.stop - part.start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` from the start, the position or the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; none after an error, since the decoder cannot be told of it."""
        left = max(0, self._size - self._position)
        size = left if size < 0 else min(size, left)
        head = self._part.head[self._position : self._position + size]
        offset = max(0, self._position - len(self._part.head))
        body = bytearray()
        if len(head) < size:
            try:
                body += read_at(self._handle, self._part.start + offset, size - len(head))
            except OSError as error:
                self.error = error
                return b""
        for at, patch in self._part.patches:
            for i in range(max(at, offset), min(at + len(patch), offset + len(body))):
                body[i - offset] = patch[i - at]
        self._position += len(head) + len(body)
        return head + bytes(body)


def read_at(handle: BinaryIO, position: int, size: int) -> bytes:
    """At most `size` bytes from `position` on."""
    handle.seek(position)
    return handle.read(size)
