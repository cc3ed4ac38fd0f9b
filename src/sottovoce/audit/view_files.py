"""The files of a view, written utterance by utterance, so that no more than a few of them are held in memory."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class GrowingArray:
    """An array in an .npy file that grows along its first axis; closed, the file is the one that numpy.save writes."""

    def __init__(self, path: Path, like: NDArray[Any]) -> None:
        self._file = path.open("w+b")
        self._dtype, self._shape = like.dtype, like.shape[1:]
        self.rows = 0
        self._write_header()
        self._begin = self._file.tell()

    def append(self, values: NDArray[Any]) -> None:
        """Add `values` [n, ...] at the end; ValueError where they do not fit what is there."""
        if values.shape[1:] != self._shape:
            raise ValueError(f"values of shape {values.shape} were added to an array of shape [n, {self._shape}].")
        self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self.rows += len(values)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows `start` to `stop`, a copy in memory."""
        row_bytes = self._dtype.itemsize * int(np.prod(self._shape, dtype=np.int64))
        self._file.seek(self._begin + start * row_bytes)
        rows = np.frombuffer(bytearray(self._file.read((stop - start) * row_bytes)), self._dtype)
        return rows.reshape(stop - start, *self._shape)

    def close(self) -> None:
        """Write how many rows there are, for which numpy leaves room in the header."""
        self._file.seek(0)
        self._write_header()
        assert self._file.tell() == self._begin, "the header has grown over the values"
        self._file.close()

    def _write_header(self) -> None:
        header = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self.rows, *self._shape)}
        npy.write_array_header_1_0(self._file, header)


class PartFiles:
    """The arrays of one part of a view, each the file NAME.npy in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arrays: dict[str, GrowingArray] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with ExitStack() as stack:
            for array in self._arrays.values():
                stack.callback(array.close)

    def __getitem__(self, name: str) -> GrowingArray:
        return self._arrays[name]

    def append(self, name: str, values: NDArray[Any]) -> None:
        """Add `values` [n, ...] at the end of an array, which is begun where there is none of this name."""
        if name not in self._arrays:
            self._arrays[name] = GrowingArray(self._folder / f"{name}.npy", values)
        self._arrays[name].append(values)
