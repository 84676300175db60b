"""LFUDA: LFU whose newcomers start where the last victim stood, so that yesterday's favourites do not stay for ever.

A resident's score is the age of the cache at its last request plus its number of requests; the lowest score is thrown
away, and the age becomes that score. Among equals, what was requested longest ago leaves.

State: a heap of the residents by score, one count per slot, the age.
Source: Arlitt, Cherkasova, Dilley, Friedrich, Jin, "Evaluating content management techniques for Web proxy caches",
ACM SIGMETRICS Performance Evaluation Review 27(4), 2000 (LFU with dynamic aging).
Differs from libCacheSim, where a hit adds the age to the score, instead of setting the score to age plus count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import kernels
from ...heap import SCORE, Heap, enter_in_order, give_back, leave, lowest, make_heap, rescore
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Lfuda"]


class State(NamedTuple):
    """What LFUDA remembers.

    Attributes
    ----------
    heap : Heap
        The residents; their score is age plus count.
    count : int64[m]
        By slot: requests since the object entered.
    age : float64[1]
        Score of the last victim.
    """

    heap: Heap
    count: Any
    age: Any


@policy(title="LFUDA", year=2000, source="https://doi.org/10.1145/346000.346003")
@dataclass(frozen=True)
class Lfuda(Policy):
    """Least frequently used with dynamic aging."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        most = setting.max_resident
        return State(make_heap(setting.n_objects, most), np.empty(most, np.int64), np.zeros(1))


def _find(state, obj):
    return state.heap.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.heap.slot_of[obj]
    state.count[slot] += 1
    rescore(state.heap, slot, state.age[0] + state.count[slot], now)


def _insert(state, obj, now, size):
    state.count[enter_in_order(state.heap, obj, state.age[0] + 1, now)] = 1


def _peek(state, obj, now, size):
    return state.heap.obj_of[lowest(state.heap)]


def _evict(state, obj, now, size):
    slot = leave(state.heap)
    state.age[0] = state.heap.rank[slot, SCORE]
    return give_back(state.heap, slot)


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
