"""A reader of TensorFlow checkpoints without TensorFlow, which trusts nothing that a file says.

A checkpoint is PREFIX.index, a sorted table of LevelDB's format from names to messages of protobuf, and
PREFIX.data-00000-of-00001, the values one after the other. Each message says where the values of one array lie:

    BundleEntryProto { dtype = 1; shape = 2 { dim = 2 { size = 1 } }; shard_id = 3; offset = 4; size = 5 }
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sottovoce.errors import ModelError
from sottovoce.files import read_bytes

_LARGEST_INDEX, _LARGEST_DATA = 1 << 20, 1 << 28  # bytes
_MOST_ARRAYS, _MOST_DIMENSIONS, _LONGEST_NAME = 1 << 14, 8, 1 << 10
_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER_BYTES = 48
_FLOAT32 = 1  # DT_FLOAT, the only type that is read


def read_checkpoint(prefix: Path) -> dict[str, NDArray[np.float32]]:
    """The arrays of 32-bit floats in a checkpoint of one shard, by name; ModelError for what is no such checkpoint."""
    index = read_bytes(prefix.with_name(f"{prefix.name}.index"), _LARGEST_INDEX)
    data = read_bytes(prefix.with_name(f"{prefix.name}.data-00000-of-00001"), _LARGEST_DATA)
    try:
        arrays = {name: _array(_message(entry), data) for name, entry in _entries(index)}
    except (ValueError, IndexError) as error:
        raise ModelError(
            f"{prefix}.index is no table of a TensorFlow checkpoint ({error}); install the weights again."
        ) from error
    return {name: array for name, array in arrays.items() if array is not None}


def _array(entry: dict[int, list[int | bytes]], data: bytes) -> NDArray[np.float32] | None:
    """The values that an entry describes; None where they are not 32-bit floats."""
    if _number(entry, 1) != _FLOAT32:
        return None
    dimensions = _message(_bytes(entry, 2)).get(2, [])
    if len(dimensions) > _MOST_DIMENSIONS or _number(entry, 3):
        raise ValueError("an array has too many dimensions or lies in another file")
    shape = [_number(_message(size), 1) for size in dimensions if isinstance(size, bytes)]
    offset, size = _number(entry, 4), _number(entry, 5)
    if math.prod(shape) * 4 != size or offset + size > len(data) or max(shape, default=1) > size:
        raise ValueError(f"an array of shape {str(shape)[:80]} has {size} bytes at {offset} of {len(data)}")
    values = np.frombuffer(data, "<f4", size // 4, offset).reshape(shape)
    if not np.isfinite(values).all():
        raise ValueError("an array has values that are not finite")
    return values.astype(np.float32)


def _entries(index: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and message of each array, from the blocks that the last block lists."""
    footer = index[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or not footer.endswith(_MAGIC):
        raise ValueError("it does not end as one does")
    _, at = _handle(footer, 0)
    blocks, _ = _handle(footer, at)
    count = 0
    for _, handle in _block(index, blocks):
        for name, entry in _block(index, _handle(handle, 0)[0]):
            count += 1
            if count > _MOST_ARRAYS:
                raise ValueError(f"it has more than {_MOST_ARRAYS} arrays")
            if name:  # the entry without a name describes the checkpoint itself
                yield name.decode(), entry


def _block(index: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block: each key shares its first bytes with the one before."""
    start, size = handle
    if start + size >= len(index) or index[start + size]:
        raise ValueError("a block is cut off or compressed")
    block = index[start : start + size]
    restarts = int.from_bytes(block[-4:], "little")
    at, end, key = 0, size - 4 - 4 * restarts, b""
    if not 0 <= end <= size:
        raise ValueError("a block is cut off")
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + added + length > end or shared + added > _LONGEST_NAME:
            raise ValueError("a name is cut off or too long")
        key = key[:shared] + block[at : at + added]
        yield key, block[at + added : at + added + length]
        at += added + length


def _handle(content: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Start and size of a block."""
    start, at = _varint(content, at)
    size, at = _varint(content, at)
    return (start, size), at


def _message(content: bytes) -> dict[int, list[int | bytes]]:
    """The values of each field of a protobuf message: numbers and bytes."""
    fields: dict[int, list[int | bytes]] = {}
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = _varint(content, at)
        else:
            length, at = _varint(content, at) if tag & 7 == 2 else ({1: 8, 5: 4}.get(tag & 7, len(content) + 1), at)
            if at + length > len(content):
                raise ValueError("a message is cut off")
            value, at = content[at : at + length], at + length
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(fields: dict[int, list[int | bytes]], field: int) -> int:
    value = fields.get(field, [0])[-1]
    if isinstance(value, bytes):
        raise ValueError(f"field {field} is no number")
    return value


def _bytes(fields: dict[int, list[int | bytes]], field: int) -> bytes:
    value = fields.get(field, [b""])[-1]
    if isinstance(value, int):
        raise ValueError(f"field {field} is no message")
    return value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A whole number below 2^63, seven bits to a byte, and where the next begins."""
    value = 0
    for place in range(9):
        byte = content[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("a number is too large")
