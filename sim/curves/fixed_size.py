"""SHARDS with a sample of fixed size: at most so many objects are followed, whatever the trace holds.

All objects belong to the sample at first. When one too many is followed, the object with the largest hash is dropped and
the rate lowered to its hash: the sample then is what it would have been at that rate from the start. A request counts
for 1 / rate requests, with the rate of its time.

Source: Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC construction with SHARDS", FAST 2015, section 3.3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...policies import contract
from ...traces.errors import UsageError
from ...traces.jit import kernel
from . import few as _few
from . import grid as _grid
from . import sampling as _sampling
from .few import empty_heap, empty_stack, largest_out, put, take_off, up_to, weigh_in
from .grid import Grid, place
from .sampling import salt_of, spread_hash

__all__ = ["FixedSize", "fixed_size_histogram"]

_HASHES = float(1 << 64)
_FOLLOWED, _MOST, _LOOKED_AT = range(3)
_REQUESTS, _BYTES = range(2)


class FixedSize(NamedTuple):
    """What was found; estimates are in requests and bytes of the whole trace.

    Attributes
    ----------
    hits, byte_hits : float64[len(grid.capacities)]
        By the least capacity that serves them; `byte_hits` is of no use where objects are counted.
    requests, n_bytes : float
        What the requests looked at stand for: about all requests and bytes.
    looked_at : int
        Requests for followed objects, warm-up left out.
    most_followed : int
        Objects followed at once.
    rate : float
        The last.
    """

    hits: npt.NDArray[np.float64]
    byte_hits: npt.NDArray[np.float64]
    requests: float
    n_bytes: float
    looked_at: int
    most_followed: int
    rate: float


def fixed_size_histogram(
    ids: npt.NDArray[np.int32],
    n_objects: int,
    sizes: npt.NDArray[np.int64] | None,
    max_objects: int,
    seed: int,
    start: int,
    grid: Grid,
) -> FixedSize:
    """Follow at most `max_objects` objects and estimate the histogram of LRU stack distances.

    Parameters
    ----------
    ids : int32[n]
    n_objects : int
    sizes : int64[n], bytes, or None
        None counts objects.
    max_objects : int
        At least 1.
    seed, start : int
        As elsewhere.
    grid : Grid
        Reaches the footprint.

    Raises
    ------
    UsageError
        `max_objects` is below 1.
    """
    if max_objects < 1:
        raise UsageError(f"a sample of {max_objects} objects follows none; take 1 or more, such as 8192")
    most = min(max_objects, n_objects) + 1  # one too many, for a moment
    stack, heap = empty_stack(n_objects, most), empty_heap(most)
    hits, byte_hits = np.zeros(len(grid.capacities)), np.zeros(len(grid.capacities))
    totals, counts = np.zeros(2), np.zeros(3, np.int64)
    limit = _follow(ids, sizes, max_objects, salt_of(seed), start, grid, stack, heap, hits, byte_hits, totals, counts)
    return FixedSize(
        hits,
        byte_hits,
        float(totals[_REQUESTS]),
        float(totals[_BYTES]),
        int(counts[_LOOKED_AT]),
        int(counts[_MOST]),
        min(1.0, (int(limit) + 1) / _HASHES),
    )


@kernel(made_of=[contract, _few, _grid, _sampling], error_model="numpy", _nrt=False)
def _follow(
    ids: Any,
    sizes: Any,
    max_objects: Any,
    salt: Any,
    start: Any,
    grid: Any,
    stack: Any,
    heap: Any,
    hits: Any,
    byte_hits: Any,
    totals: Any,
    counts: Any,
) -> Any:
    limit = np.uint64(0xFFFFFFFFFFFFFFFF)  # the largest hash that is followed
    rate = 1.0
    total = np.int64(0)  # weight of all followed objects
    largest = grid.capacities[len(grid.capacities) - 1]
    for i in range(len(ids)):
        obj = ids[i]
        hashed = spread_hash(obj, salt)
        if hashed > limit:
            continue
        size = 1 if sizes is None else sizes[i]
        counted = i >= start
        if counted:
            counts[_LOOKED_AT] += 1
            totals[_REQUESTS] += 1 / rate
            totals[_BYTES] += size / rate
        known = stack.place_of[obj] > 0
        if known:
            if counted:
                others, own = total - up_to(stack, obj), stack.weight_of[obj]
                rank = place(grid, min(np.int64(others / rate) + own, largest))
                hits[rank] += 1 / rate
                byte_hits[rank] += size / rate
            total -= take_off(stack, obj)
        put(stack, obj, size)
        total += size
        if not known:
            weigh_in(heap, counts[_FOLLOWED], hashed, obj)
            counts[_FOLLOWED] += 1
            if counts[_FOLLOWED] > max_objects:
                counts[_FOLLOWED] -= 1
                limit = heap.hashes[0] - np.uint64(1)
                rate = (np.float64(limit) + 1) / _HASHES
                total -= take_off(stack, largest_out(heap, counts[_FOLLOWED]))
            counts[_MOST] = max(counts[_MOST], counts[_FOLLOWED])
    return limit
