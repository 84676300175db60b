"""The value that is nearest in time among the requests for one object."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["by_group", "nearest_value"]


def by_group(ids: npt.NDArray[Any], *finer: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the requests grouped by object (and then by `finer`), in the order of their arrival within a group."""
    return np.lexsort((*reversed(finer), ids))


def nearest_value(
    groups: npt.NDArray[Any], values: npt.NDArray[Any], known: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int8]]:
    """Fill unknown values from the nearest earlier known one of the same group, or else from the nearest later one.

    Parameters
    ----------
    groups : int[n]
        Equal values stand together, as `by_group` puts them.
    values : [n]
    known : bool[n]

    Returns
    -------
    values : [n]
        Unchanged where a group knows none.
    came_from : int8[n]
        0 its own, -1 an earlier one, 1 a later one, 2 none.
    """
    n = len(groups)
    here = np.arange(n)
    earlier = np.maximum.accumulate(np.where(known, here, -1))
    earlier = np.where((earlier >= 0) & (groups[earlier] == groups), earlier, -1)
    later = np.minimum.accumulate(np.where(known, here, n)[::-1])[::-1]
    later = np.where((later < n) & (groups[np.minimum(later, n - 1)] == groups), later, -1)
    source = np.where(earlier >= 0, earlier, later)
    came_from = np.select([known, earlier >= 0, later >= 0], [0, -1, 1], 2).astype(np.int8)
    return values[np.where(source >= 0, source, here)], came_from
