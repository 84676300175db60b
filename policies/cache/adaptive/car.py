"""CAR: throw away the first unreferenced page under the hand of one of two clocks, as their ghosts advise.

ARC with clocks in place of lists: T1 holds pages that entered new, T2 those that came back; a hit only sets a bit. The
hand of T1 moves referenced pages over to T2, the hand of T2 gives them another round. A miss found in the ghosts B1 or
B2 raises or lowers p, the target for T1.

State: one byte per object, two circular queues, and a shelf of ghosts.
Source: Bansal, Modha, "CAR: Clock with Adaptive Replacement", FAST 2004, fig. 2.
Differs from libCacheSim, which divides the sizes of the ghost lists as integers and drops ghosts by other conditions.

With byte sizes all counts are bytes, the step of p is multiplied by the object's size, and ghosts are dropped until the
newcomer fits the two limits of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import helper, kernels, weight
from ...registry import Policy, policy
from ...remembered import make_remembered, remember
from ...ring import Ring, front, make_ring, pop
from ...ring import push as push_ring
from ...setting import Setting
from ...shelf import Shelf, give_back, make_shelf, oldest, push, take, unlink

__all__ = ["Car"]

_OUT, _IN_T1, _REF_T1, _IN_T2, _REF_T2, _IN_B1, _IN_B2 = range(7)
_T1, _T2, _B1, _B2 = range(4)


class State(NamedTuple):
    """What CAR remembers.

    Attributes
    ----------
    mark : uint8[n_objects]
        Where the object is, and whether its bit is set; residents are 1 to 4.
    recent, frequent : Ring
        The clocks T1 and T2; the hand stands at the oldest.
    ghosts : Shelf
        Lists B1 and B2.
    used : int64[4]
        Bytes (or objects) in T1, T2, B1, B2.
    target : float64[1]
        p, the target for T1, in bytes (or objects).
    capacity : int64[1]
    stored, kept : int64[n_objects] or None
        Bytes charged for residents, and for ghosts.
    """

    mark: Any
    recent: Ring
    frequent: Ring
    ghosts: Shelf
    used: Any
    target: Any
    capacity: Any
    stored: Any
    kept: Any


@policy(title="CAR", year=2004, source="https://www.usenix.org/conference/fast-04/car-clock-adaptive-replacement")
@dataclass(frozen=True)
class Car(Policy):
    """Clock with adaptive replacement: ARC whose hits only set a bit."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        most = setting.max_resident
        return State(
            np.zeros(setting.n_objects, np.uint8),
            make_ring(most),
            make_ring(most),
            make_shelf(setting.n_objects, min(setting.n_objects, 2 * most + 1), 2),
            np.zeros(4, np.int64),
            np.zeros(1, np.float64),
            np.full(1, setting.capacity, np.int64),
            setting.stored,
            make_remembered(setting),
        )


def _find(state, obj):
    mark = state.mark[obj]
    return mark != _OUT and mark <= _REF_T2


def _hit(state, obj, now, size):
    state.mark[obj] = _REF_T1 if state.mark[obj] <= _REF_T1 else _REF_T2


def _insert(state, obj, now, size):
    mark = state.mark[obj]
    if mark == _OUT:
        state.mark[obj] = _IN_T1
        state.used[_T1] += size
        push_ring(state.recent, obj)
        return
    b1 = state.used[_B1]
    b2 = state.used[_B2]
    if mark == _IN_B1:
        state.target[0] = min(state.target[0] + max(1.0, b2 / b1) * size, np.float64(state.capacity[0]))
        _forget(state, _B1, state.ghosts.slot_of[obj])
    else:
        state.target[0] = max(state.target[0] - max(1.0, b1 / b2) * size, 0.0)
        _forget(state, _B2, state.ghosts.slot_of[obj])
    state.mark[obj] = _IN_T2
    state.used[_T2] += size
    push_ring(state.frequent, obj)


@helper
def _forget(state, ghosts, slot):
    unlink(state.ghosts, slot)
    obj = give_back(state.ghosts, slot)
    state.mark[obj] = _OUT
    state.used[ghosts] -= weight(state.kept, obj)


@helper
def _turn(state):
    """Move the hands until one points at a page whose bit is clear; return its clock."""
    used = state.used
    while True:
        if (used[_T1] > 0 and used[_T1] >= max(1.0, state.target[0])) or used[_T2] == 0:
            obj = front(state.recent)
            if state.mark[obj] == _IN_T1:
                return _T1
            bytes_held = weight(state.stored, obj)
            used[_T1] -= bytes_held
            used[_T2] += bytes_held
            pop(state.recent)
        else:
            obj = front(state.frequent)
            if state.mark[obj] == _IN_T2:
                return _T2
            pop(state.frequent)
        state.mark[obj] = _IN_T2
        push_ring(state.frequent, obj)


def _peek(state, obj, now, size):
    return front(state.recent) if _turn(state) == _T1 else front(state.frequent)


def _evict(state, obj, now, size):
    used = state.used
    which = _turn(state)
    victim = np.int64(pop(state.recent) if which == _T1 else pop(state.frequent))
    bytes_held = weight(state.stored, victim)
    used[which] -= bytes_held
    used[which + 2] += bytes_held
    remember(state.kept, victim, bytes_held)
    state.mark[victim] = _IN_B1 if which == _T1 else _IN_B2
    push(state.ghosts, which, take(state.ghosts, victim))
    if state.mark[obj] == _OUT:  # unknown to the directory, which has to make room as well
        capacity = state.capacity[0]
        while used[_B1] > 0 and used[_T1] + used[_B1] + size > capacity:
            _forget(state, _B1, oldest(state.ghosts, 0))
        while used[_B2] > 0 and used[_T1] + used[_T2] + used[_B1] + used[_B2] + size > 2 * capacity:
            _forget(state, _B2, oldest(state.ghosts, 1))
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
