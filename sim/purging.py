"""Cold-RL's own simulator: five baselines in a cache that throws out whatever has expired before it evicts anything.

Rules of the authors' public simulator (github.com/ayushgupta4897/DRL-Cache, without a licence: its rules are written here
afresh), against which their printed numbers were made. They differ from `evictlab.sim.replay` in four ways:

- every miss first removes all that has expired, whether or not room is needed; `replay`, like NGINX, keeps it until it is
  evicted or asked for;
- an expired object that is asked for leaves and comes in anew, so that its count starts again from 1;
- an object expires *after* its last second, and not at its end;
- an object larger than the cache empties it, and is not stored.

Importing this module imports numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..traces.errors import UnknownNameError, UsageError
from ..traces.jit import kernel

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["RULES", "replay_purging"]

RULES = {
    "lru": "oldest last access",
    "lfu": "fewest requests since it came in, then oldest arrival",
    "size": "largest",
    "adaptive_lru": "oldest last access, where objects above the threshold count as older by the penalty",
    "hybrid_lru_size": "largest (1-w) idle seconds + w size/largest size: the seconds drown the sizes, so nearly LRU",
}
"""Who leaves first, by rule; equal ones leave in the order in which they came in."""


def replay_purging(
    trace: RequestTrace,
    capacity_bytes: int,
    rule: str,
    *,
    threshold_bytes: int = 50 * 1024,
    penalty_s: float = 1000.0,
    size_weight: float = 0.6,
) -> tuple[float, float]:
    """Replay a trace by the rules of Cold-RL's simulator.

    Parameters
    ----------
    trace : RequestTrace
        With sizes and times; without TTLs nothing expires.
    capacity_bytes : int
        The authors' megabytes have 2^20 bytes: their 25 MB are ``25 * 2**20``.
    rule : str
        One of `RULES`.
    threshold_bytes : int
        For ``adaptive_lru``: objects above it are large. The authors' choice for the trap workload.
    penalty_s : float
        For ``adaptive_lru``: how much older large objects count. The authors have a second rule of this name, for the
        workload "challenging web": all large objects leave before any other (``1e12``), with a threshold of ``2**20``.
    size_weight : float, 0-1
        w of ``hybrid_lru_size``; the authors' choice for the trap workload, elsewhere 0.3.

    Returns
    -------
    hit_ratio, byte_hit_ratio : float, 0-1
        Hits over requests; bytes of hits over bytes requested, each request with its own size.

    Raises
    ------
    UnknownNameError
        There is no such rule.
    UsageError
        The trace lacks sizes or times; a capacity below 1 byte.
    """
    if rule not in RULES:
        raise UnknownNameError("rule", rule, RULES)
    if trace.sizes is None or trace.times is None:
        raise UsageError(f"{trace.name} lacks {'sizes' if trace.sizes is None else 'times'}, and the rules need both")
    if capacity_bytes < 1:
        raise UsageError(f"capacity_bytes={capacity_bytes} must be at least 1")
    ttls_s = np.full(len(trace), np.inf, np.float32) if trace.ttls is None else trace.ttls
    hits, hit_bytes = _replay(
        trace.ids, trace.sizes, trace.times, ttls_s, trace.n_objects,
        capacity_bytes, list(RULES).index(rule), float(threshold_bytes), float(penalty_s), float(size_weight),
    )  # fmt: skip
    return hits / len(trace), hit_bytes / float(trace.sizes.sum(dtype=np.float64))


@kernel()
def _replay(
    ids: Any, sizes: Any, times: Any, ttls: Any, n_objects: Any, capacity: Any, rule: Any,
    threshold: Any, penalty: Any, weight: Any,
) -> Any:  # fmt: skip
    """Hits and their bytes; `rule` is a place in `RULES`."""
    held = np.empty(n_objects, np.int64)  # the objects in the cache, in the order in which they came in
    count = 0
    stored = np.zeros(n_objects, np.int64)  # bytes; 0: not in the cache
    expires = np.empty(n_objects)
    used_at = np.empty(n_objects)
    uses = np.empty(n_objects, np.int64)
    worth = np.empty(n_objects)
    free = capacity
    hits, hit_bytes = 0, 0.0
    for i in range(len(ids)):
        obj, size, now = ids[i], sizes[i], times[i]
        if stored[obj] > 0 and now <= expires[obj]:
            hits += 1
            hit_bytes += size
            used_at[obj] = now
            uses[obj] += 1
            continue

        kept = 0
        largest = 1
        for j in range(count):  # all that has expired leaves, obj itself among them
            other = held[j]
            if now > expires[other]:
                free += stored[other]
                stored[other] = 0
            else:
                held[kept] = other
                kept += 1
                largest = max(largest, stored[other])
        count = kept

        if size > free:
            for j in range(count):  # the least worth leaves first
                other = held[j]
                if rule == 0:
                    worth[j] = used_at[other]
                elif rule == 1:
                    worth[j] = uses[other]
                elif rule == 2:
                    worth[j] = -stored[other]
                elif rule == 3:
                    worth[j] = used_at[other] - (penalty if stored[other] > threshold else 0.0)
                else:
                    worth[j] = -((1 - weight) * (now - used_at[other]) + weight * (stored[other] / largest))
            while size > free:
                least = -1
                for j in range(count):
                    if stored[held[j]] > 0 and (least < 0 or worth[j] < worth[least]):
                        least = j
                if least < 0:
                    break
                free += stored[held[least]]
                stored[held[least]] = 0
            kept = 0
            for j in range(count):
                if stored[held[j]] > 0:
                    held[kept] = held[j]
                    kept += 1
            count = kept

        if size <= free:
            held[count] = obj
            count += 1
            stored[obj] = size
            free -= size
            expires[obj] = now + ttls[i]
            used_at[obj] = now
            uses[obj] = 1
    return hits, hit_bytes
