"""When is an object requested next, when was it last, how large is it: one pass each.

Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import kernel

__all__ = ["fill_next_use", "fill_prev_use", "largest_sizes", "renumber"]


@kernel()
def fill_next_use(ids: Any, upcoming: Any, next_use: Any) -> None:
    """``next_use[i]`` = position of the next request for ``ids[i]``, walking backwards.

    Parameters
    ----------
    ids : int32[n]
    upcoming : int32[n_objects] or int64[n_objects]
        Filled with the value for *never*; used as scratch.
    next_use : same dtype, [n], written
    """
    for i in range(len(ids) - 1, -1, -1):
        next_use[i] = upcoming[ids[i]]
        upcoming[ids[i]] = i


@kernel()
def fill_prev_use(ids: Any, latest: Any, prev_use: Any) -> None:
    """``prev_use[i]`` = position of the request before for ``ids[i]``; `latest` starts as -1."""
    for i in range(len(ids)):
        prev_use[i] = latest[ids[i]]
        latest[ids[i]] = i


@kernel()
def largest_sizes(ids: Any, sizes: Any, largest: Any) -> None:
    """``largest[k]`` = the largest ``sizes[i]`` among requests for object k."""
    for i in range(len(ids)):
        if sizes[i] > largest[ids[i]]:
            largest[ids[i]] = sizes[i]


@kernel()
def renumber(ids: Any, new: Any, dense: Any, old: Any) -> Any:
    """Number a selection of requests afresh.

    Parameters
    ----------
    ids : int32[m]
        Ids of the requests that are kept.
    new : int32[n_objects]
        Filled with -1; used as scratch.
    dense : int32[m], written
        The new ids, 0, 1, 2, ... by first appearance.
    old : int32[n_objects], written
        The former id of each new one.

    Returns
    -------
    int
        Number of objects kept.
    """
    count = np.int32(0)
    for i in range(len(ids)):
        obj = ids[i]
        if new[obj] < 0:
            new[obj] = count
            old[count] = obj
            count += np.int32(1)
        dense[i] = new[obj]
    return count
