"""BlindOracle: throw away what is predicted to be requested last; believe every prediction.

With each request comes the index of the next request for the object. The victim is the resident whose prediction, made
at its last request, is largest; of equals, the one in the lowest slot (a newcomer takes the slot of its victim; the
first k take slots 0, 1, ...). Belady's rule, with guesses in place of the future. Also known as Follow the Prediction
(FtP) for predictions of this kind: the two hold the same objects at every moment.

Guarantee (objects of one size, capacity k, eta: sum of |predicted - true| over all requests): misses at most ``min(1 +
2 eta/OPT, 2 + 4 eta/((k-1) OPT))`` times the optimum's OPT (Wei 2020). Not robust: bad predictions cost any factor.

State: a slot and a prediction for each resident, the predictions in a heap.
Source: Lykouris, Vassilvitskii, "Competitive caching with machine learned advice", ICML 2018 (as what not to
do); Wei, "Better and simpler learning-augmented online caching", APPROX 2020. The rule for ties: the experiments of
Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted predictions", ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import kernels, place
from ...registry import Policy, policy
from ...setting import Setting
from ...slot_heap import SlotHeap, drop, make_slot_heap, put, top

__all__ = ["BlindOracle"]


class State(NamedTuple):
    """What BlindOracle remembers.

    Attributes
    ----------
    slot_of : int32[n_objects]
        The object's slot, -1 for none. Slots are numbered downwards, for of equals the heap has the highest on top.
    obj_of : int32[most residents]
    heap : SlotHeap
        When the object in each slot is due.
    free : int64[1]
        The slot for the next newcomer.
    due : float64[n_requests]
    """

    slot_of: Any
    obj_of: Any
    heap: SlotHeap
    free: Any
    due: Any


@policy(title="BlindOracle", year=2018, source="https://arxiv.org/abs/1802.05399", sizes=False, predictions="next_use")
@dataclass(frozen=True)
class BlindOracle(Policy):
    """Predicted times: evict what is predicted last, as Belady would."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        most = setting.max_resident
        return State(
            np.full(setting.n_objects, -1, np.int32),
            np.zeros(most, np.int32),
            make_slot_heap(most),
            np.full(1, most - 1, np.int64),
            setting.predictions("next_use"),
        )


def _find(state, obj):
    return state.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    put(state.heap, state.slot_of[obj], state.due[place(now)])


def _insert(state, obj, now, size):
    slot = state.free[0]
    state.slot_of[obj] = slot
    state.obj_of[slot] = obj
    put(state.heap, slot, state.due[place(now)])
    state.free[0] = len(state.obj_of) - 1 - state.heap.count[0]


def _peek(state, obj, now, size):
    return state.obj_of[top(state.heap)]


def _evict(state, obj, now, size):
    slot = top(state.heap)
    drop(state.heap, slot)
    victim = state.obj_of[slot]
    state.slot_of[victim] = -1
    state.free[0] = slot
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
