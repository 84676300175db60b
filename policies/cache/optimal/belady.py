"""Belady's MIN: throw away what will not be requested for the longest time.

The fewest misses that any policy can have when all objects have the same size and every miss must enter the cache; with
``bypass`` a newcomer whose next request is furthest of all is not admitted, which is the optimum without that duty.

Each resident waits for one request, and no two for the same one: the residents are a set of positions in the trace, and
the victim is its largest member. Positions that have passed need not be removed, for they are smaller than any that counts.
Those who will never be requested again wait on a stack and leave first.

State: a bit per request and the object that it is for, a byte per object.
Source: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966; proof
of optimality in Mattson, Gecsei, Slutz, Traiger, IBM Systems Journal 9(2), 1970.
With byte sizes it is no optimum, only a rule; `evictlab.sim.bounds` has bounds for that case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...bitset import Bitset, add, largest, make_bitset, remove
from ...contract import helper, kernels
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Belady"]


class State(NamedTuple):
    """What MIN knows.

    Attributes
    ----------
    next_use : int32[n_requests] or int64[n_requests]
        Position of the next request to the same object; n_requests or more = never.
    resident : uint8[n_objects]
    awaited : Bitset
        Positions at which residents will be requested next, and some that have passed.
    owner : int32[n_requests]
        By awaited position: the object.
    useless : int32[m]
        Residents that are not requested again.
    n_useless : int64[1]
    """

    next_use: Any
    resident: Any
    awaited: Bitset
    owner: Any
    useless: Any
    n_useless: Any


class BypassState(State):
    """The same, for the variant that may refuse the newcomer."""

    __slots__ = ()


@policy(title="Belady", year=1966, source="https://doi.org/10.1147/sj.52.0078", next_use=True)
@dataclass(frozen=True)
class Belady(Policy):
    """The offline optimum for objects of one size.

    Parameters
    ----------
    bypass : bool
        Refuse the newcomer when it is itself the one that will not be requested for the longest time.
    """

    bypass: bool = False

    def make(self, setting: Setting) -> State | BypassState:
        """Return an empty cache."""
        next_use = setting.next_use()
        return (BypassState if self.bypass else State)(
            next_use,
            np.zeros(setting.n_objects, np.uint8),
            make_bitset(len(next_use)),
            np.empty(len(next_use), np.int32),
            np.empty(setting.max_resident, np.int32),
            np.zeros(1, np.int64),
        )


def _find(state, obj):
    return state.resident[obj] != 0


@helper
def _await(state, obj, now):
    position = state.next_use[now]
    if position < len(state.next_use):
        add(state.awaited, position)
        state.owner[position] = obj
    else:
        state.useless[state.n_useless[0]] = obj
        state.n_useless[0] += 1


def _hit(state, obj, now, size):
    _await(state, obj, now)


def _insert(state, obj, now, size):
    state.resident[obj] = 1
    _await(state, obj, now)


def _peek(state, obj, now, size):
    if state.n_useless[0] > 0:
        return state.useless[state.n_useless[0] - 1]
    return state.owner[largest(state.awaited)]


@helper
def _remove(state):
    if state.n_useless[0] > 0:
        state.n_useless[0] -= 1
        victim = state.useless[state.n_useless[0]]
    else:
        position = largest(state.awaited)
        remove(state.awaited, position)
        victim = state.owner[position]
    state.resident[victim] = 0
    return victim


def _evict(state, obj, now, size):
    return _remove(state)


def _evict_or_refuse(state, obj, now, size):
    position = state.next_use[now]
    if position >= len(state.next_use) or (state.n_useless[0] == 0 and position > largest(state.awaited)):
        return obj
    return _remove(state)


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
kernels(BypassState, _find, _hit, _insert, _evict_or_refuse, peek=_peek)
