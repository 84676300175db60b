"""What Belady's optimum does with each request of a trace, for the truth and for those who learn from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...traces.jit import kernel
from .. import bitset, contract, registry
from ..cache.optimal import belady
from ..contract import evict, find, hit, insert, place, unsigned
from ..setting import Setting

__all__ = ["evicted_before_next_use"]


@kernel(made_of=(contract, bitset, belady), _nrt=False)
def _follow(ids: Any, capacity: Any, state: Any, latest: Any, evicted: Any) -> None:
    """Replay Belady's optimum; mark the last request before each eviction."""
    used = 0
    for i in range(len(ids)):
        obj = unsigned(ids[place(i)])
        if find(state, obj):
            hit(state, obj, i, 1)
        else:
            if used < capacity:
                used += 1
            else:
                evicted[latest[evict(state, obj, i, 1)]] = 1
            insert(state, obj, i, 1)
        latest[obj] = i


def evicted_before_next_use(
    ids: npt.NDArray[np.int32], n_objects: int, next_use: npt.NDArray[Any], capacity: int
) -> npt.NDArray[np.uint8]:
    """Return 1 for each request whose object the optimum throws away before it is requested again.

    Parameters
    ----------
    ids : int32[n]
    n_objects : int
    next_use : int32[n] or int64[n]
        n or more = never.
    capacity : int
        Objects.

    Returns
    -------
    uint8[n]
        Of those never requested again, only the ones that it comes to throw away.
    """
    state = registry.parse_policy("belady").make(Setting(n_objects, capacity, future=lambda: next_use))
    evicted = np.zeros(len(ids), np.uint8)
    _follow(ids, capacity, state, np.zeros(n_objects, np.int64), evicted)
    return evicted
