"""One record that stands for many requests, taken apart without making a giant batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .reader import BATCH_RECORDS

__all__ = ["MAX_RUN", "runs"]

MAX_RUN = 2**31 - 1
"""The most requests one record may announce; more is a damaged or hostile file."""


def runs(counts: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield (record, step) for each request of records that stand for ``counts`` requests each.

    Parameters
    ----------
    counts : int64[m]
        From 0 to `MAX_RUN`.

    Yields
    ------
    record, step : int64[k], k <= `BATCH_RECORDS`
        Request i is step ``step[i]`` (from 0) of record ``record[i]``.

    Examples
    --------
    >>> [(r.tolist(), s.tolist()) for r, s in runs(np.array([2, 0, 3]))]
    [([0, 0, 2, 2, 2], [0, 1, 0, 1, 2])]
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, BATCH_RECORDS):
        stop = min(total, start + BATCH_RECORDS)
        first, last = np.searchsorted(ends, (start, stop - 1), side="right")
        part = slice(first, last + 1)
        begins = ends[part] - counts[part]
        taken = np.minimum(ends[part], stop) - np.maximum(begins, start)
        record = np.repeat(np.arange(first, last + 1), taken)
        yield record, np.arange(start, stop) - begins[record - first]
