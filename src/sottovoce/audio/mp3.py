"""MP3 (and MPEG audio of layer II): frames, tags between them, and runs of frames that continue each other."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from sottovoce.audio.ranges import Part, read_at
from sottovoce.errors import AudioError

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version: 1, 2, 2.5
_BITRATES = {  # kbit/s, by whether the version is 1, and by layer
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SEARCHED = 1441  # bytes between frames in which the next one is looked for: the longest frame of layer III
_TAGS = (b"TAG", b"ID3", b"APE")
_MOST_TAGS = 100  # one behind the other
_TRIMMED = 9000  # samples at both ends, at most, of which an encoder says that it added them
_HAS_FRAMES = 1
_INFO_BITRATE = 9  # its number: large enough for the frame that tells the length


@dataclass(frozen=True)
class Frame:
    """What a frame's header says: its length in bytes and samples; `alike` is the same in all frames of a sound."""

    bytes: int
    samples: int
    alike: tuple[int, int, int, bool]  # version, layer, sample rate, mono

    @property
    def info_offset(self) -> int:
        """Where the name of a frame is that tells the length of the sound: behind the side information."""
        version, _, _, mono = self.alike
        return 4 + ((17 if mono else 32) if version == 3 else (9 if mono else 17))


@lru_cache(maxsize=1024)
def _frame(header: bytes) -> Frame | None:
    """The frame that has this header of 4 bytes; None where it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer not in (2, 3) or bitrate in (0, 15) or rate == 3:
        return None
    hz, kbits = _RATES[version][rate], _BITRATES[version == 3, layer][bitrate - 1]
    samples = 576 if layer == 3 and version != 3 else 1152
    length = samples // 8 * kbits * 1000 // hz + (header[2] >> 1 & 1)
    return Frame(length, samples, (version, layer, hz, header[3] >> 6 == 3))


def begins(handle: BinaryIO, position: int) -> bool:
    """Whether two frames of one sound, or the last of a file, begin at `position`."""
    frame = _frame(read_at(handle, position, 4))
    if frame is None:
        return False
    after = read_at(handle, position + frame.bytes - 1, 5)
    if 0 < len(after) < 5 or after[1:4] in _TAGS:
        return True
    following = _frame(after[1:])
    return following is not None and following.alike == frame.alike


def after_tags(handle: BinaryIO, position: int) -> int:
    """Where the tags that begin at `position` end."""
    for _ in range(_MOST_TAGS):
        tag = read_at(handle, position, 32)
        if tag[:3] == b"ID3" and len(tag) >= 10:
            footer = 10 if tag[5] & 0x10 else 0
            size = sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], (21, 14, 7, 0), strict=True))
            position += 10 + size + footer
        elif tag[:8] == b"APETAGEX" and len(tag) >= 24:
            position += 32 + (int.from_bytes(tag[12:16], "little") if tag[23] & 0x20 else 0)
        elif tag[:3] == b"TAG":
            position += 128
        else:
            break
    return position


def walk(handle: BinaryIO, start: int, size: int) -> tuple[list[Part], int]:
    """The runs of frames from `start` on, each a part that tells its true length, and where the last one ends."""
    found: list[Part] = []
    end = start
    stop = after_tags(handle, start)
    while (padding := read_at(handle, stop, _SEARCHED)) and not padding.strip(b"\0"):  # some tags are too modest
        stop += len(padding)
    while (run := _found(handle, stop, size)) is not None:
        if end > start:
            _check_gap(handle, end, stop, run)
        part, end = _run(handle, run, size)
        if part.stop > part.start:
            found.append(part)
        stop = min(after_tags(handle, end), size)
    return found, stop


def _check_gap(handle: BinaryIO, end: int, stop: int, run: int) -> None:
    """Refuse what lies between the frames up to `end`, the tags up to `stop`, and frames at `run`, if sound is lost.

    Behind tags there may be zeros; and where files were joined, a tag or a frame that tells the length follows.
    """
    gap = read_at(handle, stop, run - stop)
    if not gap or (stop > end and not gap.strip(b"\0")):
        return
    frame = _frame(read_at(handle, run, 4))
    assert frame is not None, "a run begins with a frame"
    if _claimed(read_at(handle, run, frame.info_offset + 12), frame) is not None:
        return
    if not any(gap[at : at + 3] in _TAGS and after_tags(handle, stop + at) == run for at in range(len(gap))):
        raise AudioError(f"{len(gap)} bytes at {stop} are neither sound nor a tag; get or make the file again.")


def _found(handle: BinaryIO, position: int, size: int) -> int | None:
    """Where frames begin again, at `position` or a little later; None where they do not."""
    content = read_at(handle, position, _SEARCHED)
    at = content.find(b"\xff")
    while at >= 0 and position + at < size:
        if begins(handle, position + at):
            return position + at
        at = content.find(b"\xff", at + 1)
    return None


def _run(handle: BinaryIO, start: int, size: int) -> tuple[Part, int]:
    """The frames of one sound from `start` on, up to the first that tells the length of another, and where they end."""
    header = read_at(handle, start, 4)
    first = _frame(header)
    assert first is not None, "a run begins with a frame"
    position, count, is_cut = start, 0, False
    claimed = _claimed(read_at(handle, start, first.info_offset + 12), first)
    while not is_cut:
        content = read_at(handle, position, first.info_offset + 12)
        frame = _frame(content[:4])
        if frame is None or frame.alike != first.alike or (count and _claimed(content, frame) is not None):
            break
        is_cut = position + frame.bytes > size
        if not is_cut:
            position, count = position + frame.bytes, count + 1
    after = size if is_cut else max(position, start + 1)
    if claimed is None:
        head = _info(header, first, count) if first.alike[1] == 3 else b""
        return Part(start, position, head, least_frames=(count - 2) * first.samples), after
    count -= 1
    if claimed > 2 * count:
        raise AudioError(f"its header claims {claimed} frames of sound but {count} are there; get the file again.")
    if claimed == count:
        return Part(start, position, least_frames=count * first.samples - _TRIMMED), after
    head = _info(header, first, count)
    return Part(start + first.bytes, position, head, least_frames=(count - 2) * first.samples), after


def _claimed(content: bytes, frame: Frame) -> int | None:
    """How many frames follow by this one, if it is one that tells; -1 where it leaves the number open."""
    at = frame.info_offset
    if content[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags, count = struct.unpack(">II", content[at + 4 : at + 12].ljust(8, b"\0"))
    return count if flags & _HAS_FRAMES else -1


def _info(header: bytes, frame: Frame, count: int) -> bytes:
    """A frame that tells that `count` frames follow, as encoders put first; decoders do not play it."""
    changed = bytes([0xFF, header[1] | 1, _INFO_BITRATE << 4 | header[2] & 0x0C, header[3]])
    own = _frame(changed)
    assert own is not None, "it differs from a frame by its bitrate alone"
    head = changed + bytes(own.info_offset - 4) + b"Xing" + struct.pack(">II", _HAS_FRAMES, count)
    return head.ljust(own.bytes, b"\0")
