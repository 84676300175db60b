"""What an oracle makes of the tail of an LRU queue: it sees K candidates, knows the future, and picks one.

Cold-RL shows its policy the K objects that LRU would evict next. No policy that is shown only these can choose much better
than one that knows when each comes again: of the K, out goes

- ``next_use``: the one whose next request is furthest away (Belady's choice, among K);
- ``next_use_x_size``: the one with the largest distance, in requests, times size.

One choice at a time is greedy: with objects of different sizes both are strong references and not proven optima. Neither
knows that an object will have expired by its next request. K = 1 is LRU; without a limit all of the cache is in view.

Importing this module imports numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..traces.errors import UnknownNameError, UsageError
from ..traces.jit import kernel

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["CHOICES", "replay_ktail"]

CHOICES = ("next_use", "next_use_x_size")


def replay_ktail(trace: RequestTrace, capacity_bytes: int, k: int | None, by: str = "next_use") -> tuple[float, float]:
    """Replay a trace with a clairvoyant choice among the K least recently used objects.

    Parameters
    ----------
    trace : RequestTrace
        With sizes; TTLs, where it has them, count: an entry found expired is a miss that is refreshed in place and becomes
        the most recently used, as in `evictlab.sim.replay`.
    capacity_bytes : int
    k : int or None
        Objects in view, from the least recently used on; None = all.
    by : str
        One of `CHOICES`. What never comes again goes first; of equals, the least recently used.

    Returns
    -------
    hit_ratio, byte_hit_ratio : float, 0-1
        Hits over requests; bytes of hits over bytes requested.

    Raises
    ------
    UnknownNameError
        There is no such choice.
    UsageError
        The trace lacks sizes; `k` or the capacity is below 1.
    """
    if by not in CHOICES:
        raise UnknownNameError("choice", by, CHOICES)
    if trace.sizes is None:
        raise UsageError(f"{trace.name} has no sizes, and the capacity is in bytes")
    if capacity_bytes < 1 or (k is not None and k < 1):
        raise UsageError(f"capacity_bytes={capacity_bytes} and k={k} must be at least 1")
    never = trace.next_use >= len(trace)
    following = np.where(never, np.inf, trace.next_use.astype(np.float64))
    view = trace.n_objects if k is None else min(k, trace.n_objects)
    hits, hit_bytes = _replay(
        trace.ids, trace.sizes, trace.times, trace.ttls, following, trace.n_objects,
        capacity_bytes, view, by == "next_use_x_size",
    )  # fmt: skip
    return hits / len(trace), hit_bytes / float(trace.sizes.sum(dtype=np.float64))


@kernel()
def _replay(
    ids: Any, sizes: Any, times: Any, ttls: Any, following: Any, n_objects: Any, capacity: Any, view: Any, by_size: Any
) -> Any:
    """Hits and their bytes; `following` is where each request's object is asked for next, ``inf`` = never."""
    older = np.empty(n_objects + 1, np.int64)  # the LRU queue as a ring; its last place is both ends:
    newer = np.empty(n_objects + 1, np.int64)  # `newer` of it is the least recently used
    end = n_objects
    older[end] = newer[end] = end
    stored = np.zeros(n_objects, np.int64)  # bytes; 0: not in the cache
    expires = np.empty(n_objects)
    comes = np.empty(n_objects)
    free = capacity
    hits, hit_bytes = 0, 0.0
    for i in range(len(ids)):
        obj, size = ids[i], sizes[i]
        fresh = True
        if stored[obj] > 0:
            if ttls is not None:  # noqa: SIM102 - numba prunes the test for None only when it stands alone
                if expires[obj] <= times[i]:
                    fresh = False
                    expires[obj] = times[i] + ttls[i]
            if fresh:
                hits += 1
                hit_bytes += size
            older[newer[obj]], newer[older[obj]] = older[obj], newer[obj]
        elif size > capacity:
            continue
        else:
            while size > free:
                victim, furthest = end, -1.0
                candidate = newer[end]
                seen = 0
                while candidate != end and seen < view:
                    distance = comes[candidate] - i
                    if by_size:
                        distance *= stored[candidate]
                    if distance > furthest:
                        victim, furthest = candidate, distance
                    candidate = newer[candidate]
                    seen += 1
                older[newer[victim]], newer[older[victim]] = older[victim], newer[victim]
                free += stored[victim]
                stored[victim] = 0
            stored[obj] = size
            free -= size
            if ttls is not None:
                expires[obj] = times[i] + ttls[i]
        comes[obj] = following[i]
        newest = older[end]
        older[obj], newer[obj] = newest, end
        newer[newest] = older[end] = obj
    return hits, hit_bytes
