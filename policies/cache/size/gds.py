"""GDS: throw away what saves least per byte: cost over size, above the age of the cache.

A resident's score is ``age + cost / size``, renewed at every request; the lowest score is thrown away, and the age becomes
that score. Among equals, what was requested longest ago leaves; with equal sizes and costs this is LRU.

State: a heap of the residents by score, the age.
Source: Cao, Irani, "Cost-aware WWW proxy caching algorithms", USITS 1997 (GreedyDual-Size).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import kernels, weight
from ...heap import SCORE, Heap, enter, enter_in_order, give_back, leave, lowest, make_heap, rescore
from ...registry import Policy, policy
from ...setting import Setting
from ...worth import worth

__all__ = ["Gds"]


class State(NamedTuple):
    """What GDS remembers.

    Attributes
    ----------
    heap : Heap
        The residents, by score.
    age : float64[1]
        Score of the last victim.
    costs : float32[n_requests], seconds, or None
    stored : int64[n_objects], bytes, or None
    """

    heap: Heap
    age: Any
    costs: Any
    stored: Any


@policy(
    title="GDS",
    year=1997,
    source="https://www.usenix.org/conference/usits-97/cost-aware-www-proxy-caching-algorithms",
    cost=True,
)
@dataclass(frozen=True)
class Gds(Policy):
    """Greedy-dual with size, and cost where the trace has it.

    Parameters
    ----------
    weigh_costs : bool
        Weigh the origin seconds of the trace, if it has them. Without, every miss costs 1, which favours the hit ratio
        (the paper's GD-Size(1)). A cheaper request does not lower the score of a resident.
    """

    weigh_costs: bool = True

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        heap = make_heap(setting.n_objects, setting.max_resident)
        return State(heap, np.zeros(1), setting.costs if self.weigh_costs else None, setting.stored)


def _find(state, obj):
    return state.heap.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.heap.slot_of[obj]
    score = state.age[0] + worth(1, state.costs, now, weight(state.stored, obj))
    rescore(state.heap, slot, max(score, state.heap.rank[slot, SCORE]), now)


def _insert(state, obj, now, size):
    score = state.age[0] + worth(1, state.costs, now, weight(state.stored, obj))
    if state.stored is None and state.costs is None:
        enter_in_order(state.heap, obj, score, now)
    else:
        enter(state.heap, obj, score, now)


def _peek(state, obj, now, size):
    return state.heap.obj_of[lowest(state.heap)]


def _evict(state, obj, now, size):
    slot = leave(state.heap)
    state.age[0] = state.heap.rank[slot, SCORE]
    return give_back(state.heap, slot)


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
