"""ARC: throw away from what was requested once or from what was requested again, as the ghosts of the two advise.

Residents requested once since they entered are in T1, the others in T2, both by last request. What leaves T1 stays known
in B1, what leaves T2 in B2. A miss found in B1 says that T1 was too small and raises its target p, one found in B2 lowers
it; REPLACE takes the oldest of T1 while T1 is above its target, else the oldest of T2.

State: four lists on a shelf with twice as many slots as residents.
Source: Megiddo, Modha, "ARC: a self-tuning, low overhead replacement cache", FAST 2003, fig. 4.
The step of p is the real number max(1, |B2|/|B1|), as in the paper and libCacheSim; some programs divide integers.

With byte sizes |T1|, |T2|, |B1|, |B2| and p are bytes, the step is multiplied by the object's size (libCacheSim adds
single bytes), and the ghost lists are cut until the newcomer keeps |T1|+|B1| <= c and the total <= 2c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import helper, kernels, unsigned, weight
from ...registry import Policy, policy
from ...remembered import remember
from ...setting import Setting
from ...shelf import Shelf, bottom, give_back, make_shelf, oldest, push, take, unlink

__all__ = ["Arc"]

_T1, _T2, _B1, _B2 = 0, 1, 2, 3
_NEW = -1


class State(NamedTuple):
    """What ARC remembers.

    Attributes
    ----------
    shelf : Shelf
        Residents and ghosts; lists T1, T2, B1, B2.
    part : uint8[slots]
        The list that a slot is in.
    used : int64[4]
        Bytes (or objects) in each list.
    target : float64[1]
        p, the target for T1, in bytes (or objects).
    origin : int64[1]
        Where the missed object is known: `_B1`, `_B2`, or `_NEW`.
    capacity : int64[1]
    size : int64[slots], bytes, or None
        Of the resident or ghost in each slot; None when sizes are off. By slot, and so beside what is touched anyway.
    """

    shelf: Shelf
    part: Any
    used: Any
    target: Any
    origin: Any
    capacity: Any
    size: Any


@policy(
    title="ARC",
    year=2003,
    source="https://www.usenix.org/conference/fast-03/arc-self-tuning-low-overhead-replacement-cache",
)
@dataclass(frozen=True)
class Arc(Policy):
    """Adaptive replacement cache: recency and frequency share the room as their ghosts advise."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        slots = min(setting.n_objects, 2 * setting.max_resident + 1)
        return State(
            make_shelf(setting.n_objects, slots, 4),
            np.zeros(slots, np.uint8),
            np.zeros(4, np.int64),
            np.zeros(1, np.float64),
            np.full(1, _NEW, np.int64),
            np.full(1, setting.capacity, np.int64),
            None if setting.stored is None else np.zeros(slots, np.int64),
        )


def _find(state, obj):
    slot = state.shelf.slot_of[obj]
    return slot >= 0 and state.part[slot] <= _T2


def _hit(state, obj, now, size):
    slot = unsigned(state.shelf.slot_of[obj])
    if state.part[slot] == _T1:
        state.part[slot] = _T2
        bytes_held = weight(state.size, slot)
        state.used[_T1] -= bytes_held
        state.used[_T2] += bytes_held
    unlink(state.shelf, slot)
    push(state.shelf, _T2, slot)


def _admit(state, obj, now, size):
    """Adapt p where the missed object is a ghost (cases II and III of the paper)."""
    slot = state.shelf.slot_of[obj]
    if slot < 0:
        state.origin[0] = _NEW
        return True
    b1 = state.used[_B1]
    b2 = state.used[_B2]
    if state.part[slot] == _B1:
        state.origin[0] = _B1
        state.target[0] = min(state.target[0] + max(1.0, b2 / b1) * size, np.float64(state.capacity[0]))
    else:
        state.origin[0] = _B2
        state.target[0] = max(state.target[0] - max(1.0, b1 / b2) * size, 0.0)
    return True


def _insert(state, obj, now, size):
    origin = state.origin[0]
    to = _T1
    if origin == _NEW:
        slot = take(state.shelf, obj)
    else:
        slot = state.shelf.slot_of[obj]
        unlink(state.shelf, slot)
        state.used[origin] -= weight(state.size, slot)
        to = _T2
    remember(state.size, slot, size)
    state.part[slot] = to
    state.used[to] += size
    push(state.shelf, to, slot)


@helper
def _fills_cache(state, size):
    """Say whether T1 and a newcomer unknown to the ghosts exceed the cache by themselves (case IV.A, second part)."""
    return state.origin[0] == _NEW and state.used[_T1] + size > state.capacity[0]


@helper
def _leaves(state, size):
    """REPLACE: return the list whose oldest entry goes."""
    if _fills_cache(state, size):
        return _T1
    t1 = state.used[_T1]
    if t1 > 0 and (t1 > state.target[0] or (t1 == state.target[0] and state.origin[0] == _B2)):
        return _T1
    return _T2 if state.used[_T2] > 0 else _T1


@helper
def _forget(state, ghosts):
    """Drop the oldest of a ghost list."""
    slot = oldest(state.shelf, ghosts)
    unlink(state.shelf, slot)
    give_back(state.shelf, slot)
    state.used[ghosts] -= weight(state.size, slot)


def _peek(state, obj, now, size):
    return state.shelf.obj_of[oldest(state.shelf, _leaves(state, size))]


def _evict(state, obj, now, size):
    used = state.used
    capacity = state.capacity[0]
    which = _leaves(state, size)
    keeps_ghost = not _fills_cache(state, size)
    is_new = state.origin[0] == _NEW  # case IV: the directory has to make room as well
    while is_new and used[_B1] > 0 and used[_T1] + used[_B1] + size > capacity:
        _forget(state, _B1)
    slot = bottom(state.shelf, which)
    victim = state.shelf.obj_of[slot]
    bytes_held = weight(state.size, slot)
    unlink(state.shelf, slot)
    used[which] -= bytes_held
    if keeps_ghost:
        state.part[slot] = which + 2
        used[which + 2] += bytes_held
        push(state.shelf, which + 2, slot)
    else:
        give_back(state.shelf, slot)
    while is_new and used[_B2] > 0 and used[_T1] + used[_T2] + used[_B1] + used[_B2] + size > 2 * capacity:
        _forget(state, _B2)
    return victim


kernels(State, _find, _hit, _insert, _evict, admit=_admit, peek=_peek)
