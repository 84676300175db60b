"""Files of equal records: a NumPy dtype says what stands where.

Uncompressed files are memory-mapped; nothing is copied before a column is used.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ...batch import Batch
from .reader import BATCH_RECORDS, TORN, Reader

__all__ = ["RecordReader"]


class RecordReader(Reader):
    """Reads records of a fixed dtype. Subclasses turn them into batches.

    Attributes
    ----------
    dtype : numpy.dtype
        Class attribute, or set by ``__init__``.
    header_bytes : int
        Bytes before the first record.
    """

    dtype: np.dtype[Any]
    header_bytes: int = 0

    @abstractmethod
    def batch(self, records: npt.NDArray[Any]) -> Batch:
        """Turn at most `BATCH_RECORDS` records into a batch of as many requests."""

    def _read(self) -> Iterator[Batch]:
        size = self.dtype.itemsize
        for data in self._pieces(size * BATCH_RECORDS):
            whole = len(data) // size
            if len(data) % size:
                self.account.records += 1
                self.drop(TORN, 1, [f"byte {self.header_bytes + self._offset + whole * size}: end of file"])
            self.account.records += whole
            self._offset += len(data)
            if whole:
                yield self.batch(np.frombuffer(data, self.dtype, whole))

    def _pieces(self, n_bytes: int) -> Iterator[bytes | memoryview]:
        self._offset = 0
        if self.source.compression:
            yield from self.source.chunks(n_bytes, skip=self.header_bytes)
            return
        # One map per piece: pages of a piece that was read do not add up in memory.
        end = self.path.stat().st_size
        for start in range(self.header_bytes, end, n_bytes):
            yield np.memmap(self.path, np.uint8, "r", offset=start, shape=min(n_bytes, end - start)).data
