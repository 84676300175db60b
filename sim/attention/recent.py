"""The last queries of every stream, for policies that ask them again while decoding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["RecentQueries"]

SPARE = 64
"""Steps between two moves of what is kept: moving it at each step would cost more than the attention."""

Floats = npt.NDArray[np.floating]


class RecentQueries:
    """Keeps the last `kept` queries of each stream; some streams at a time may be ahead of others by a step.

    Parameters
    ----------
    streams, group, kept, head_dim : int
    dtype : dtype
    """

    def __init__(self, streams: int, group: int, kept: int, head_dim: int, dtype: npt.DTypeLike) -> None:
        self.kept = kept
        self._table = np.zeros((streams, group, kept + SPARE, head_dim), dtype)
        self._end = np.full(streams, kept, np.int64)

    def fill(self, streams: slice, queries: Floats) -> None:
        """Begin with the last queries of a prompt.

        Parameters
        ----------
        streams : slice
        queries : float[streams, group, queries, head_dim]
        """
        last = min(self.kept, queries.shape[2])
        self._table[streams, :, self.kept - last : self.kept] = queries[:, :, queries.shape[2] - last :]

    def append(self, streams: slice, queries: Floats) -> None:
        """Add one query to each of these streams, which are at the same step.

        Parameters
        ----------
        streams : slice
        queries : float[streams, group, head_dim]
        """
        end = int(self._end[streams.start])
        if end == self._table.shape[2]:
            self._table[streams, :, : self.kept] = self._table[streams, :, end - self.kept :].copy()
            end = self.kept
        self._table[streams, :, end] = queries
        self._end[streams] = end + 1

    def last(self, streams: slice, window: int) -> Floats:
        """The last `window` queries of these streams: [streams, group, window, head_dim]."""
        end = int(self._end[streams.start])
        return self._table[streams, :, end - window : end]
