"""GDSF: throw away what saves least per byte: requests times cost over size, above the age of the cache.

A resident's score is ``age + requests * cost / size``, renewed at every request; the lowest score is thrown away, and the
age becomes that score. Among equals, what was requested longest ago leaves. The newcomer is scored before room is made for
it, and when its score is the lowest it is the one that does not stay.

State: a heap of the residents by score, one count per slot, the age, the newcomer's score.
Source: Cherkasova, "Improving WWW proxies performance with greedy-dual-size-frequency caching policy", Technical Report
HPL-98-69R1, Hewlett-Packard, 1998.
Same hits as libCacheSim 0.3.5, request by request. Textbook forms often make room first and then score the newcomer with
the age that this gave: with room for two, the requests 0 0 1 2 1 0 tell them apart. At the first 2, object 1 goes and the
age becomes 1. Here 2 was scored 0 + 1 before that, so it goes next and the last request is a hit; there it stands at 1 + 1,
level with 0, which has waited longer and goes.
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

__all__ = ["Gdsf"]


class State(NamedTuple):
    """What GDSF remembers.

    Attributes
    ----------
    heap : Heap
        The residents, by score.
    count : int64[m]
        By slot: requests since the object entered.
    age : float64[1]
        Score of the last victim.
    entry : float64[1]
        Score of the newcomer.
    costs : float32[n_requests], seconds, or None
    stored : int64[n_objects], bytes, or None
    """

    heap: Heap
    count: Any
    age: Any
    entry: Any
    costs: Any
    stored: Any


@policy(title="GDSF", year=1998, source="https://www.hpl.hp.com/techreports/98/HPL-98-69R1.html", cost=True)
@dataclass(frozen=True)
class Gdsf(Policy):
    """Greedy-dual with size, frequency, and cost where the trace has it.

    Parameters
    ----------
    weigh_costs : bool
        Weigh the origin seconds of the trace, if it has them. Without, every miss costs 1, which favours the hit ratio.
        A cheaper request does not lower the score of a resident.
    """

    weigh_costs: bool = True

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        most = setting.max_resident
        return State(
            make_heap(setting.n_objects, most),
            np.empty(most, np.int64),
            np.zeros(1),
            np.zeros(1),
            setting.costs if self.weigh_costs else None,
            setting.stored,
        )


def _find(state, obj):
    return state.heap.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.heap.slot_of[obj]
    state.count[slot] += 1
    score = state.age[0] + worth(state.count[slot], state.costs, now, weight(state.stored, obj))
    rescore(state.heap, slot, max(score, state.heap.rank[slot, SCORE]), now)


def _admit(state, obj, now, size):
    state.entry[0] = state.age[0] + worth(1, state.costs, now, size)
    return True


def _insert(state, obj, now, size):
    if state.stored is None and state.costs is None:
        state.count[enter_in_order(state.heap, obj, state.entry[0], now)] = 1
    else:
        state.count[enter(state.heap, obj, state.entry[0], now)] = 1


def _peek(state, obj, now, size):
    return state.heap.obj_of[lowest(state.heap)]


def _evict(state, obj, now, size):
    if state.heap.rank[lowest(state.heap), SCORE] > state.entry[0]:
        state.age[0] = state.entry[0]
        return obj
    slot = leave(state.heap)
    state.age[0] = state.heap.rank[slot, SCORE]
    return give_back(state.heap, slot)


kernels(State, _find, _hit, _insert, _evict, admit=_admit, peek=_peek)
