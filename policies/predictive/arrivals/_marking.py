"""What the marking algorithms with predicted times share: slots, marks, phases, and who was there when the phase began.

A request marks the slot of its object. When room is needed and every slot is marked, a phase begins: all marks are
wiped, and the residents of that moment are *stale*. An object that is requested for the first time in a phase without
being stale is *clean*. The victim is always unmarked; the algorithms differ in which.

The first k objects take slots 0, 1, ...; a newcomer takes the slot of its victim. What is predicted with a request is
written down after the victim was chosen. Within a phase nothing changes about the unmarked but that they get fewer:
those that are due last are found with a heap built at its beginning, from which the marked are dropped when they come
to the top.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...contract import helper, place
from ...random import random_below
from ...setting import Setting
from ...slot_heap import SlotHeap, build, drop, make_slot_heap, top

__all__ = [
    "Marking",
    "begin_phase_if_due",
    "drawn",
    "due_last",
    "due_last_of",
    "enter",
    "is_stale",
    "leave",
    "make_marking",
    "touch",
]

_UNMARKED, _FREE, _USED, _PHASE = 0, 1, 2, 3


class Marking(NamedTuple):
    """Slots 0 .. m-1.

    Attributes
    ----------
    slot_of : int32[n_objects]
        The object's slot, -1 for none.
    obj_of : int32[m]
    due : float64[m]
        By slot: what was predicted at the last request for its object.
    slots : int32[m]
        All slots, the unmarked first; at the beginning of a phase in ascending order.
    rank : int32[m]
        Where in `slots` the slot stands.
    stale : int32[n_objects]
        The last phase at whose beginning the object was resident.
    heap : SlotHeap
        The unmarked by `due`, and some that were marked since the phase began; without slots if nobody asks for it.
    counts : int64[4]
        Number of the unmarked, slot for the next newcomer, slots that were ever used, number of the phase.
    rng : uint64[1]
    forecast : float64[n_requests]
    """

    slot_of: Any
    obj_of: Any
    due: Any
    slots: Any
    rank: Any
    stale: Any
    heap: SlotHeap
    counts: Any
    rng: Any
    forecast: Any


def make_marking(setting: Setting, with_heap: bool = True) -> Marking:
    """Return an empty cache; without a heap, `due_last` must not be asked."""
    most = setting.max_resident
    return Marking(
        np.full(setting.n_objects, -1, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most),
        np.arange(most, dtype=np.int32),
        np.arange(most, dtype=np.int32),
        np.zeros(setting.n_objects, np.int32),
        make_slot_heap(most if with_heap else 0),
        np.zeros(4, np.int64),
        setting.random_state(),
        setting.predictions("next_use"),
    )


@helper
def touch(marking, obj, now):
    """Note a request for a resident."""
    slot = marking.slot_of[obj]
    marking.due[slot] = marking.forecast[place(now)]
    if marking.rank[slot] < marking.counts[_UNMARKED]:
        _mark(marking, slot)


@helper
def enter(marking, obj, now):
    """Put a newcomer into the free slot, marked."""
    slot = marking.counts[_FREE]
    if slot == marking.counts[_USED]:
        marking.counts[_USED] = slot + 1
    marking.slot_of[obj] = slot
    marking.obj_of[slot] = obj
    marking.due[slot] = marking.forecast[place(now)]
    marking.counts[_FREE] = marking.counts[_USED]


@helper
def begin_phase_if_due(marking):
    """Wipe all marks if every slot has one; the cache is full."""
    if marking.counts[_UNMARKED] > 0:
        return
    n = len(marking.slots)
    phase = marking.counts[_PHASE] + 1
    marking.counts[_PHASE] = phase
    marking.counts[_UNMARKED] = n
    for slot in range(n):
        marking.slots[slot] = slot
        marking.rank[slot] = slot
        marking.stale[marking.obj_of[slot]] = phase
    if len(marking.heap.slot) > 0:
        build(marking.heap, marking.due)


@helper
def is_stale(marking, obj):
    """Say whether `obj` was resident when the phase began."""
    return marking.stale[obj] == marking.counts[_PHASE]


@helper
def due_last(marking):
    """Return the unmarked slot whose object is predicted last; of equals, the highest slot."""
    slot = top(marking.heap)
    while marking.rank[slot] >= marking.counts[_UNMARKED]:
        drop(marking.heap, slot)
        slot = top(marking.heap)
    return slot


@helper
def due_last_of(marking, most):
    """Draw up to `most` unmarked slots without replacement; return the one whose object is predicted last, as `due_last`."""
    unmarked = marking.counts[_UNMARKED]
    best = np.int64(-1)
    for at in range(min(np.int64(most), unmarked)):
        other = at + random_below(marking.rng, unmarked - at)
        slot, displaced = np.int64(marking.slots[other]), marking.slots[at]
        marking.slots[other] = displaced
        marking.rank[displaced] = other
        marking.slots[at] = slot
        marking.rank[slot] = at
        if (
            best < 0
            or marking.due[slot] > marking.due[best]
            or (marking.due[slot] == marking.due[best] and slot > best)
        ):
            best = slot
    return best


@helper
def drawn(marking):
    """Return a random unmarked slot."""
    return np.int64(marking.slots[random_below(marking.rng, marking.counts[_UNMARKED])])


@helper
def leave(marking, slot):
    """Empty an unmarked slot for the newcomer, for whom it is marked; return the object it held."""
    _mark(marking, slot)
    victim = marking.obj_of[slot]
    marking.slot_of[victim] = -1
    marking.counts[_FREE] = slot
    return victim


@helper
def _mark(marking, slot):
    """Move an unmarked slot behind the unmarked; the last of them takes its place."""
    last = marking.counts[_UNMARKED] - 1
    at = marking.rank[slot]
    other = marking.slots[last]
    marking.slots[at] = other
    marking.rank[other] = at
    marking.slots[last] = slot
    marking.rank[slot] = last
    marking.counts[_UNMARKED] = last
