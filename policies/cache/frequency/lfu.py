"""LFU: throw away what was requested least often since it entered; among equals, what was requested longest ago.

State: a heap of the residents by count and last request; newcomers, all with a count of 1, wait in its queue.
Source: Aho, Denning, Ullman, "Principles of optimal page replacement", Journal of the ACM 18(1), 1971.
Called In-Cache-LFU by Breslau et al., INFOCOM 1999. Same hits as libCacheSim's LFU.
Differs from `lfu_perfect`, which remembers the counts of objects that have left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...contract import kernels
from ...heap import SCORE, Heap, enter_in_order, give_back, leave, lowest, make_heap, rescore
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Lfu"]


class State(NamedTuple):
    """`heap`: the residents; their score is the number of requests since they entered."""

    heap: Heap


@policy(title="LFU", year=1971, source="https://doi.org/10.1145/321623.321632")
@dataclass(frozen=True)
class Lfu(Policy):
    """Least frequently used, counts forgotten on eviction."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_heap(setting.n_objects, setting.max_resident))


def _find(state, obj):
    return state.heap.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.heap.slot_of[obj]
    rescore(state.heap, slot, state.heap.rank[slot, SCORE] + 1, now)


def _insert(state, obj, now, size):
    enter_in_order(state.heap, obj, 1, now)


def _peek(state, obj, now, size):
    return state.heap.obj_of[lowest(state.heap)]


def _evict(state, obj, now, size):
    return give_back(state.heap, leave(state.heap))


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
