"""Columns that grow batch by batch, in memory or as NumPy files that can be mapped as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FileColumn", "MemoryColumn", "StoreError", "stored"]


class StoreError(Exception):
    """A trace cannot be kept on disk; in memory it may still fit."""


@contextmanager
def stored() -> Iterator[None]:
    """Turn what goes wrong while writing into a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(error.strerror or str(error)) from error


class MemoryColumn:
    """One column in memory.

    Parameters
    ----------
    dtype : numpy dtype
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._pieces: list[npt.NDArray[Any]] = []

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add some values; they are copied only if they have another dtype."""
        self._pieces.append(np.ascontiguousarray(values, dtype=self._dtype))

    def finish(self) -> npt.NDArray[Any]:
        """Return the whole column."""
        if len(self._pieces) == 1:
            return self._pieces[0]
        return np.concatenate(self._pieces) if self._pieces else np.empty(0, self._dtype)


class FileColumn:
    """One column in a ``.npy`` file, written as it comes; its length need not fit in memory.

    Parameters
    ----------
    dtype : numpy dtype
    path : Path
        The file; it is overwritten.

    Raises
    ------
    StoreError
        The file cannot be written, for example because the disk is full; any method may say so.
    """

    def __init__(self, dtype: npt.DTypeLike, path: Path) -> None:
        self._dtype = np.dtype(dtype)
        self._length = 0
        with stored():
            self._stream = path.open("wb")
            self._write_header()

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add some values."""
        self._length += len(values)
        with stored():
            self._stream.write(np.ascontiguousarray(values, dtype=self._dtype).data)

    def finish(self) -> None:
        """Complete the file: now its header says how long the column is."""
        with stored():
            self._stream.seek(0)
            self._write_header()
            self._stream.close()

    def close(self) -> None:
        """Give the file up, complete or not."""
        with stored():
            self._stream.close()

    def _write_header(self) -> None:
        # NumPy leaves room in the header for the length to grow in place.
        shape = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._stream, shape)
