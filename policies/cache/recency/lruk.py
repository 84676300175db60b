"""LRU-K: throw away what was requested K times in the longest stretch of time up to now.

The K-distance of an object is the age of its K-th last request; the largest leaves. With fewer than K known requests it is
infinite, and among those the least recently used leaves. Requests are remembered beyond eviction.

State: the times of each object's last K requests, and a heap over the residents.
Source: O'Neil, O'Neil, Weikum, "The LRU-K page replacement algorithm for database disk buffering", SIGMOD 1993, section 2.1.
The correlated reference period is 0, as in the paper's experiments with random references: every request counts. The
paper's retained information period is `retained`. libCacheSim 0.3.5's LRUK is no oracle: with K = 2 it returns LFU's counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels
from ...heap import Heap, enter, enter_in_order, give_back, leave, lowest, make_heap, rescore
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["LruK"]

_NEVER = -1
_K, _RETAINED = 0, 1


class State(NamedTuple):
    """What LRU-K remembers.

    Attributes
    ----------
    heap : Heap
        The residents; their score is the time of the K-th last request, below all times where there is none.
    history : int64[n_objects * K]
        Indices of each object's last K requests, newest first; -1 for none.
    limits : int64[2]
        K, and the number of requests after which an absent object's history is forgotten.
    """

    heap: Heap
    history: Any
    limits: Any


@policy(title="LRU-K", year=1993, source="https://doi.org/10.1145/170035.170081")
@dataclass(frozen=True)
class LruK(Policy):
    """Largest backward K-distance.

    Parameters
    ----------
    k : int, 1 .. 16
        Requests that are remembered; 1 is LRU.
    retained : int, requests
        How long after its last request an absent object's history is kept; 0 = for ever.
    """

    k: int = 2
    retained: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.k <= 16:
            raise UsageError(f"lruk: k={self.k} is not within 1 .. 16")
        if self.retained < 0:
            raise UsageError(f"lruk: retained={self.retained} is negative; 0 keeps histories for ever")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        limits = np.array([self.k, self.retained or np.iinfo(np.int64).max], np.int64)
        history = np.full(setting.n_objects * self.k, _NEVER, np.int64)
        return State(make_heap(setting.n_objects, setting.max_resident), history, limits)


def _find(state, obj):
    return state.heap.slot_of[obj] >= 0


@helper
def _note(state, obj, now):
    """Add a request to the object's history; return the time of the K-th last."""
    first = state.limits[_K] * obj
    last = first + state.limits[_K] - 1
    for at in range(last, first, -1):
        state.history[at] = state.history[at - 1]
    state.history[first] = now
    return state.history[last]


def _hit(state, obj, now, size):
    rescore(state.heap, state.heap.slot_of[obj], _note(state, obj, now), now)


def _insert(state, obj, now, size):
    first = state.limits[_K] * obj
    if now - state.history[first] > state.limits[_RETAINED]:
        for at in range(first, first + state.limits[_K]):
            state.history[at] = _NEVER
    score = _note(state, obj, now)
    if score == _NEVER:  # all of these are equal, so they come in order
        enter_in_order(state.heap, obj, score, now)
    else:
        enter(state.heap, obj, score, now)


def _peek(state, obj, now, size):
    return state.heap.obj_of[lowest(state.heap)]


def _evict(state, obj, now, size):
    return give_back(state.heap, leave(state.heap))


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
