"""Perfect LFU: throw away what was requested least often since the trace began; among equals, what was requested longest ago.

The count of an object goes on where it stopped when the object comes back.

State: a heap of the residents by count and last request, and one count per object that has left.
Source: Breslau, Cao, Fan, Phillips, Shenker, "Web caching and Zipf-like distributions: evidence and implications",
INFOCOM 1999 (Perfect-LFU beside In-Cache-LFU). Optimal among online rules when requests are independent: Aho,
Denning, Ullman, "Principles of optimal page replacement", Journal of the ACM 18(1), 1971 (there A0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import kernels
from ...heap import SCORE, Heap, enter, enter_in_order, give_back, leave, lowest, make_heap, rescore
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["LfuPerfect"]


class State(NamedTuple):
    """What perfect LFU remembers.

    Attributes
    ----------
    heap : Heap
        The residents; their score is the number of requests since the trace began.
    past : int32[n_objects]
        Requests of an object up to when it last left; 0 for never here.
    """

    heap: Heap
    past: Any


@policy(title="Perfect LFU", year=1999, source="https://doi.org/10.1109/INFCOM.1999.749260")
@dataclass(frozen=True)
class LfuPerfect(Policy):
    """Least frequently used, counts kept after eviction."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_heap(setting.n_objects, setting.max_resident), np.zeros(setting.n_objects, np.int32))


def _find(state, obj):
    return state.heap.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.heap.slot_of[obj]
    rescore(state.heap, slot, state.heap.rank[slot, SCORE] + 1, now)


def _insert(state, obj, now, size):
    if state.past[obj] == 0:
        enter_in_order(state.heap, obj, 1, now)
    else:
        enter(state.heap, obj, state.past[obj] + 1, now)


def _peek(state, obj, now, size):
    return state.heap.obj_of[lowest(state.heap)]


def _evict(state, obj, now, size):
    slot = leave(state.heap)
    victim = give_back(state.heap, slot)
    state.past[victim] = np.int32(state.heap.rank[slot, SCORE])
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
