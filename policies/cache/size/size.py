"""SIZE: throw away what is largest; among equals, what was requested longest ago.

State: a heap of the residents by size and last request. Without sizes this is LRU.
Source: Williams, Abrams, Standridge, Abdulla, Fox, "Removal policies in network caches for World-Wide Web documents",
SIGCOMM 1996 (there with several second keys; here the time of the last request).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ...contract import kernels, weight
from ...heap import SCORE, Heap, enter, enter_in_order, give_back, leave, lowest, make_heap, rescore
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Largest"]


class State(NamedTuple):
    """`heap`: the residents; their score is the negative size. `stored`: int64[n_objects], bytes, or None."""

    heap: Heap
    stored: Any


@policy(title="SIZE", year=1996, source="https://doi.org/10.1145/248156.248182")
@dataclass(frozen=True)
class Largest(Policy):
    """Largest first."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_heap(setting.n_objects, setting.max_resident), setting.stored)


def _find(state, obj):
    return state.heap.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.heap.slot_of[obj]
    rescore(state.heap, slot, state.heap.rank[slot, SCORE], now)


def _insert(state, obj, now, size):
    if state.stored is None:
        enter_in_order(state.heap, obj, -1, now)
    else:
        enter(state.heap, obj, -weight(state.stored, obj), now)


def _peek(state, obj, now, size):
    return state.heap.obj_of[lowest(state.heap)]


def _evict(state, obj, now, size):
    return give_back(state.heap, leave(state.heap))


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
