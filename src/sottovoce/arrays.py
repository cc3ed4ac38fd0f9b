"""Arrays from .npz and .npy files that somebody else may have made: measured before anything is unpacked, no pickle."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sottovoce.errors import ModelError
from sottovoce.files import read_bytes

_MOST_MEMBERS = 1 << 16
_MOST_DIMENSIONS = 16
_LONGEST_EMPTY = 1 << 24  # what the lengths of an array without values may multiply to
_KINDS = "biufU"  # truth values, numbers and text: no objects, no records
_DIRECTORY_ENTRY = b"PK\x01\x02"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(content: bytes | Path, largest_bytes: int) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, or of its content, by name.

    ModelError where the file, or all that it unpacks to, has more than `largest_bytes`, and for what is no such file:
    the directory of the archive and the header of each array are checked before memory is taken for its values.
    """
    packed = read_bytes(content, largest_bytes) if isinstance(content, Path) else content
    # Python takes a kilobyte for each entry of a directory, before it can be asked how many there are.
    if len(packed) > largest_bytes or packed.count(_DIRECTORY_ENTRY) > _MOST_MEMBERS:
        raise ModelError(
            f"the arrays have {len(packed)} bytes; expected at most {largest_bytes}, in {_MOST_MEMBERS} parts."
        )
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > largest_bytes:
                raise ModelError(f"the arrays unpack to {unpacked} bytes; expected at most {largest_bytes}.")
            if len({member.filename for member in members}) < len(members):
                raise ModelError("two of the arrays have one name; expected a name for each.")
            return {member.filename.removesuffix(".npy"): _member(archive, member) for member in members}
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError, NotImplementedError) as error:
        raise ModelError(f"the arrays cannot be read ({error}); expected a file that numpy.savez wrote.") from error


def read_array(path: Path, largest_bytes: int) -> NDArray[Any]:
    """The array of an .npy file; ModelError for more than `largest_bytes` and for what is no such file."""
    content = read_bytes(path, largest_bytes)
    return _array(io.BytesIO(content), len(content))


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    # Of the other ways to pack, Python unpacks whole blocks, however much comes out of them.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or not member.filename.endswith(".npy"):
        raise ModelError(f"{member.filename[:80]!r} is no array that numpy.savez wrote; make the file again.")
    with archive.open(member) as file:
        return _array(file, member.file_size)


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """The array in `size` bytes, whose header has to say just as many."""
    try:
        header = _HEADERS[npy.read_magic(file)](file)
    except Exception as error:  # numpy parses it as Python, and raises many kinds
        raise ModelError(f"an array has no header that can be read ({type(error).__name__}); make it again.") from error
    shape, _, dtype = header
    lengths = all(type(length) is int and length >= 0 for length in shape)  # True is an int for numpy's own check
    if dtype.kind not in _KINDS or len(shape) > _MOST_DIMENSIONS or not lengths:
        raise ModelError(f"an array is {str(dtype)[:80]} {str(shape)[:80]}; expected numbers or text: make it again.")
    # An empty array may not claim a length that would become memory later.
    expected, claimed = math.prod(shape) * dtype.itemsize, math.prod(max(1, length) for length in shape)
    if file.tell() + expected != size or claimed > max(size, _LONGEST_EMPTY):
        raise ModelError(f"an array says that it is {dtype} {shape}, and has {size} bytes; make it again.")
    file.seek(0)
    array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    letters = np.dtype("u4").newbyteorder(dtype.byteorder)
    if dtype.kind == "U" and (np.frombuffer(array.tobytes(), letters) > 0x10FFFF).any():
        raise ModelError("an array holds text that is not Unicode; make it again.")
    return array
