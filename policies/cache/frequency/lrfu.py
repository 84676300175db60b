"""LRFU: throw away what has the smallest sum of fading requests: LFU at one end of `fading`, LRU at the other.

A request counts 1 when it comes and half as much 1/fading requests later. The score of a resident is the sum of its
requests' present values; the lowest is thrown away, among equals what was requested longest ago.

All sums fade alike, so their order changes only at requests. The heap holds the time at which a sum was, or would have
been, 1: ``last request + log2(sum at the last request) / fading``, scaled by fading. It needs no update as time goes by.

State: a heap of the residents, the sum of each by slot.
Source: Lee, Choi, Kim, Noh, Min, Cho, Kim, "LRFU: a spectrum of policies that subsumes the least recently used and least
frequently used policies", IEEE Transactions on Computers 50(12), 2001. There ``fading`` is lambda.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import kernels
from ...heap import TIME, Heap, enter_in_order, give_back, leave, lowest, make_heap, rescore
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Lrfu"]


class State(NamedTuple):
    """What LRFU remembers.

    Attributes
    ----------
    heap : Heap
        The residents; their score orders them by their present sums.
    total : float64[m]
        By slot: the sum as it was at the last request.
    fading : float64[1]
        Halvings per request.
    """

    heap: Heap
    total: Any
    fading: Any


@policy(title="LRFU", year=2001, source="https://doi.org/10.1109/TC.2001.970573")
@dataclass(frozen=True)
class Lrfu(Policy):
    """Least recently and frequently used: every request fades with time.

    Parameters
    ----------
    fading : float, 0 .. 1
        Halvings per request: 0 = LFU, 1 = LRU. The paper tunes it per trace and cache size; a good one makes requests
        last longer than residents, so larger caches want smaller ones.
    """

    fading: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 <= self.fading <= 1:
            raise UsageError(f"lrfu: fading={self.fading} is not between 0 (LFU) and 1 (LRU)")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        most = setting.max_resident
        return State(make_heap(setting.n_objects, most), np.empty(most), np.full(1, self.fading))


def _find(state, obj):
    return state.heap.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.heap.slot_of[obj]
    fading = state.fading[0]
    total = 1.0 + state.total[slot] * 2.0 ** (fading * (state.heap.rank[slot, TIME] - now))
    state.total[slot] = total
    rescore(state.heap, slot, fading * now + math.log2(total), now)


def _insert(state, obj, now, size):
    state.total[enter_in_order(state.heap, obj, state.fading[0] * now, now)] = 1.0


def _peek(state, obj, now, size):
    return state.heap.obj_of[lowest(state.heap)]


def _evict(state, obj, now, size):
    return give_back(state.heap, leave(state.heap))


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
