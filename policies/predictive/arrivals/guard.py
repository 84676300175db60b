"""Guard: throw away what is predicted last, but protect whoever turns out to have been thrown away by mistake.

BlindOracle, made robust. A phase begins when a victim is needed and every slot was visited in the phase before; at its
beginning all slots are unvisited and unguarded. A request visits the slot of its object. On a miss:

- If the object was not thrown away in this phase, the victim is the one predicted last in the unguarded slots; of
  equals, the one in the lowest slot.
- If it was, that was a mistake: the victim is drawn from the unvisited slots, and the slot, now the object's, is
  guarded.

A newcomer takes the slot of its victim; the first k take slots 0, 1, ...

Guarantee (objects of one size, capacity k, H_k: k-th harmonic number): misses as the optimum's where predictions are
perfect, expected misses at most ``2 H_(k-1) + 2`` times the optimum's whatever they are.

State: a slot and a prediction for each resident, the unguarded in a heap.
Source: Chen, Zhao, Zhang, Tang, Wang, Deng, "Robustifying learning-augmented caching efficiently without compromising
1-consistency", NeurIPS 2025: the abstract, and the authors' published code. Their variants that guard only after some mistakes,
or at random, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import helper, kernels, place, unsigned
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting
from ...slot_heap import SlotHeap, build, drop, make_slot_heap, put, top

__all__ = ["Guard"]

_OLD, _FREE, _PHASE = 0, 1, 2


class State(NamedTuple):
    """What Guard remembers.

    Slots are numbered downwards, for of equals the heap has the highest on top.

    Attributes
    ----------
    slot_of : int32[n_objects]
        The object's slot, -1 for none.
    obj_of : int32[m]
    due : float64[m]
        By slot: what was predicted at the last request for its object.
    slots : int32[m]
        All slots, first those not visited in this phase; at its beginning 0, 1, ... as the paper numbers them.
    rank : int32[m]
        Where in `slots` the slot stands.
    thrown : int32[n_objects]
        The last phase in which the object was thrown away.
    unguarded : SlotHeap
        Since the first phase: the unguarded slots by `due`.
    counts : int64[3]
        Number of the unvisited, slot for the next newcomer, number of the phase (0 while the cache fills).
    rng : uint64[1]
    forecast : float64[n_requests]
    """

    slot_of: Any
    obj_of: Any
    due: Any
    slots: Any
    rank: Any
    thrown: Any
    unguarded: SlotHeap
    counts: Any
    rng: Any
    forecast: Any


@policy(
    title="Guard",
    year=2025,
    source="https://arxiv.org/abs/2507.16242",
    sizes=False,
    random=True,
    predictions="next_use",
)
@dataclass(frozen=True)
class Guard(Policy):
    """Predicted times: believe, and guard who was thrown away by mistake."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        most = setting.max_resident
        return State(
            np.full(setting.n_objects, -1, np.int32),
            np.zeros(most, np.int32),
            np.zeros(most),
            np.zeros(most, np.int32),
            np.zeros(most, np.int32),
            np.zeros(setting.n_objects, np.int32),
            make_slot_heap(most),
            np.array([0, most - 1, 0], np.int64),
            setting.random_state(),
            setting.predictions("next_use"),
        )


def _find(state, obj):
    return state.slot_of[obj] >= 0


@helper
def _visit(state, slot):
    at, last = state.rank[slot], state.counts[_OLD] - 1
    if at <= last:
        other = state.slots[last]
        state.slots[at] = other
        state.rank[other] = at
        state.slots[last] = slot
        state.rank[slot] = last
        state.counts[_OLD] = last


def _hit(state, obj, now, size):
    slot = unsigned(state.slot_of[obj])
    due = state.forecast[place(now)]
    state.due[slot] = due
    if state.unguarded.place[slot] >= 0:
        put(state.unguarded, slot, due)
    _visit(state, slot)


def _insert(state, obj, now, size):
    slot = state.counts[_FREE]
    due = state.forecast[place(now)]
    state.slot_of[obj] = slot
    state.obj_of[slot] = obj
    state.due[slot] = due
    if state.counts[_PHASE] == 0:  # nobody has left yet
        state.counts[_FREE] = slot - 1
    elif state.unguarded.place[slot] >= 0:
        put(state.unguarded, slot, due)


@helper
def _begin_phase(state):
    n = len(state.slots)
    for at in range(n):
        state.slots[at] = n - 1 - at
        state.rank[n - 1 - at] = at
    build(state.unguarded, state.due)
    state.counts[_OLD] = n
    state.counts[_PHASE] += 1


def _evict(state, obj, now, size):
    if state.counts[_OLD] == 0:
        _begin_phase(state)
    if state.thrown[obj] == state.counts[_PHASE]:
        slot = np.int64(state.slots[random_below(state.rng, state.counts[_OLD])])
        drop(state.unguarded, slot)
    else:
        slot = top(state.unguarded)
    _visit(state, slot)
    victim = state.obj_of[slot]
    state.thrown[victim] = state.counts[_PHASE]
    state.slot_of[victim] = -1
    state.counts[_FREE] = slot
    return victim


kernels(State, _find, _hit, _insert, _evict)
