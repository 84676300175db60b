"""Columns that grow batch by batch, in memory or in files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["GrowingColumn", "SpillError"]

SPILL_BYTES = 16 << 20
"""A column longer than this goes to its file, if it has one."""


class SpillError(Exception):
    """A growing column cannot be kept on disk; in memory it may still fit."""


class GrowingColumn:
    """One column whose length is known only at the end.

    Parameters
    ----------
    dtype : numpy dtype
    file : Path, optional
        Where the column goes once it outgrows `SPILL_BYTES`; without it the
        column stays in memory whatever its length.
    """

    def __init__(self, dtype: npt.DTypeLike, file: Path | None = None) -> None:
        self.dtype = np.dtype(dtype)
        self._path = file
        self._stream: Any = None
        self._pieces: list[npt.NDArray[Any]] = []
        self._waiting_bytes = 0

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add some values; they are copied only if they go to the file or have another dtype.

        Raises
        ------
        SpillError
            The file cannot be written, for example because the disk is full.
        """
        self._pieces.append(np.ascontiguousarray(values, dtype=self.dtype))
        self._waiting_bytes += self._pieces[-1].nbytes
        if self._path is None or (self._stream is None and self._waiting_bytes <= SPILL_BYTES):
            return
        try:
            if self._stream is None:
                self._stream = self._path.open("wb")
            for piece in self._pieces:
                self._stream.write(piece.data)
            self._pieces.clear()
        except OSError as error:
            raise SpillError(str(error)) from error

    def finish(self) -> npt.NDArray[Any]:
        """The whole column: an array, or a read-only map of the file."""
        self.close()
        if self._stream is not None:
            return np.memmap(str(self._path), dtype=self.dtype, mode="r")
        if len(self._pieces) == 1:
            return self._pieces[0]
        return np.concatenate(self._pieces) if self._pieces else np.empty(0, self.dtype)

    def close(self) -> None:
        """Close the file, if there is one.

        Raises
        ------
        SpillError
            What was still to be written cannot be.
        """
        try:
            if self._stream is not None:
                self._stream.close()
        except OSError as error:
            raise SpillError(str(error)) from error
