"""Stack distances: how many objects were requested since the last request for this one, itself included.

A request with stack distance d hits in every LRU cache of at least d objects and misses in all smaller ones, so that the
histogram of distances is the miss-ratio curve of all sizes at once.

Source: Mattson, Gecsei, Slutz, Traiger, "Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2), 1970.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...policies import contract
from ...traces.jit import kernel
from . import holes as _holes
from .holes import count_before, mark, mark_and_count_before, no_holes

__all__ = ["objects_since", "stack_histogram"]


def stack_histogram(prev_use: npt.NDArray[Any], n_objects: int, start: int = 0) -> npt.NDArray[np.int64]:
    """Count requests by stack distance.

    Parameters
    ----------
    prev_use : int32[n] or int64[n]
        Position of the request before for the same object, -1 for the first.
    n_objects : int
    start : int
        Requests before this position move the stack but are not counted.

    Returns
    -------
    int64[n_objects + 1]
        Entry d: requests with distance d; entry 0: first requests, which miss in every cache.
    """
    # Half the width, half the memory that is touched at random: a fifth of the time.
    histogram = np.zeros(n_objects + 1, np.int32 if len(prev_use) < 2**31 else np.int64)
    _fill_histogram(prev_use, start, no_holes(len(prev_use)), histogram)
    return histogram.astype(np.int64)


@kernel(made_of=[contract, _holes], error_model="numpy", _nrt=False)
def _fill_histogram(prev_use: Any, start: Any, holes: Any, histogram: Any) -> None:
    seen = 0
    for i in range(len(prev_use)):
        last = np.int64(prev_use[i])
        distance = 0
        if last < 0:
            seen += 1
        else:
            # Marks up to and with `last`: last + 1 places without the holes. The others stand behind it.
            distance = seen - last + mark_and_count_before(holes, last)
        if i >= start:
            histogram[distance] += 1


def objects_since(
    prev_use: npt.NDArray[Any], since: npt.NDArray[np.int64], now: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Count the different objects that were requested in stretches of a trace.

    Parameters
    ----------
    prev_use : int32[n] or int64[n]
        As in `stack_histogram`.
    since, now : int64[m]
        The stretch of each question: positions ``since[j]`` to ``now[j] - 1``. `now` does not decrease.

    Returns
    -------
    int64[m]
        0 where ``since[j]`` is negative.
    """
    found = np.zeros(len(since), np.int64)
    _fill_objects_since(prev_use, since, now, no_holes(len(prev_use)), found)
    return found


@kernel(made_of=[contract, _holes], error_model="numpy", _nrt=False)
def _fill_objects_since(prev_use: Any, since: Any, now: Any, holes: Any, found: Any) -> None:
    seen = 0
    i = 0
    for j in range(len(since)):
        while i < now[j]:
            if prev_use[i] < 0:
                seen += 1
            else:
                mark(holes, prev_use[i])
            i += 1
        if since[j] >= 0:
            found[j] = seen - since[j] + count_before(holes, since[j])
