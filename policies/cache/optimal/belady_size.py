"""Bélády-Size: throw away, of a sample, what takes most bytes for the longest time: size times requests until the next use.

What will never be requested again goes first, and is not admitted where someone else would have to go for it. Among equals
the object with the lowest number goes.

State: the residents in an array from which the sample is drawn, the next use of each.
Source: Berger, Beckmann, Harchol-Balter, "Practical bounds on optimal caching with variable object sizes", POMACS 2(2),
article 32, SIGMETRICS 2018 (one of the offline rules that its bounds are compared with); the sample is libCacheSim's.
Differs from libCacheSim, which refuses what is never requested again even while there is room, and removes it at its last
hit: the hits are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels, weight
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["BeladySize"]


class State(NamedTuple):
    """What Bélády-Size knows.

    Attributes
    ----------
    next_use : int32[n_requests] or int64[n_requests]
        Position of the next request to the same object; n_requests or more = never.
    stored : int64[n_objects], bytes, or None
    place : int32[n_objects]
        Where the object stands in `members`, -1 for not resident.
    members : int32[m]
        The residents, in no order.
    awaited : int64[m]
        By place: the member's next use.
    n : int64[1]
        Number of residents.
    samples : int64[1]
    rng : uint64[1]
    """

    next_use: Any
    stored: Any
    place: Any
    members: Any
    awaited: Any
    n: Any
    samples: Any
    rng: Any


@policy(title="Bélády-Size", year=2018, source="https://doi.org/10.1145/3224427", next_use=True, random=True)
@dataclass(frozen=True)
class BeladySize(Policy):
    """Offline rule for byte sizes: the largest product of size and time until the next use leaves.

    Parameters
    ----------
    samples : int, at least 0
        Residents drawn (with repetition) for each eviction. 0 looks at all of them: exact, and slow for large caches.
    """

    samples: int = 128

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise UsageError(
                f"belady_size: samples={self.samples} is negative; draw at least 1, or 0 for all residents"
            )

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        most = setting.max_resident
        return State(
            setting.next_use(),
            setting.stored,
            np.full(setting.n_objects, -1, np.int32),
            np.empty(most, np.int32),
            np.empty(most, np.int64),
            np.zeros(1, np.int64),
            np.full(1, self.samples, np.int64),
            setting.random_state(),
        )


def _find(state, obj):
    return state.place[obj] >= 0


def _hit(state, obj, now, size):
    state.awaited[state.place[obj]] = state.next_use[now]


def _insert(state, obj, now, size):
    place = state.n[0]
    state.place[obj] = place
    state.members[place] = obj
    state.awaited[place] = state.next_use[now]
    state.n[0] = place + 1


@helper
def _burden(state, place, now):
    """Bytes times requests until the next use."""
    if state.awaited[place] >= len(state.next_use):
        return np.inf
    return np.float64(state.awaited[place] - now) * weight(state.stored, state.members[place])


@helper
def _heaviest(state, now):
    """Return the place of the sampled resident with the greatest burden."""
    samples = state.samples[0]
    exact = samples == 0
    best = np.int64(-1)
    most = -1.0
    for draw in range(state.n[0] if exact else samples):
        place = np.int64(draw) if exact else random_below(state.rng, state.n[0])
        burden = _burden(state, place, now)
        if burden > most or (burden == most and state.members[place] < state.members[best]):
            best = place
            most = burden
    return best


def _evict(state, obj, now, size):
    if state.next_use[now] >= len(state.next_use):
        return obj
    place = _heaviest(state, now)
    victim = state.members[place]
    state.place[victim] = -1
    last = state.n[0] - 1
    state.n[0] = last
    if place != last:
        moved = state.members[last]
        state.members[place] = moved
        state.awaited[place] = state.awaited[last]
        state.place[moved] = place
    return victim


kernels(State, _find, _hit, _insert, _evict)
