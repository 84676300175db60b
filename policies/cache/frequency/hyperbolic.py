"""Hyperbolic caching: throw away, out of a random sample, what earned least per request seen since it entered.

An object's priority is hits * cost / (size * age), the age counted from its entry: unlike in LFU it decays while nobody
asks, and unlike in LRU a newcomer does not start at the top for long.

State: the residents in a dense array; beside each the worth it has earned and when it entered.
Source: Blankstein, Sen, Freedman, "Hyperbolic caching: flexible caching for web applications", USENIX ATC 2017,
sections 2 and 3. A request's own cost is added at each hit, so that costs may change over time.
Sampling is with replacement, as in libCacheSim. Where costs are not given each hit is worth 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import kernels, weight
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Hyperbolic"]

_WORTH, _ENTERED = 0, 1


class State(NamedTuple):
    """What hyperbolic caching remembers.

    Attributes
    ----------
    slot_of : int32[n_objects]
        The object's slot, -1 for none.
    obj_of : int32[most residents]
        Slots 0 .. n_residents-1 are taken.
    record : float64[most residents, 2]
        By slot: sum of cost/size over its requests, and request index at which it entered.
    n_residents : int64[1]
    sample : int64[1]
    rng : uint64[1]
    costs : float32[n_requests], seconds, or None
    """

    slot_of: Any
    obj_of: Any
    record: Any
    n_residents: Any
    sample: Any
    rng: Any
    costs: Any


@policy(
    title="Hyperbolic",
    year=2017,
    source="https://www.usenix.org/conference/atc17/technical-sessions/presentation/blankstein",
    cost=True,
    random=True,
)
@dataclass(frozen=True)
class Hyperbolic(Policy):
    """Hits per age, cost and size, lowest of a sample.

    Parameters
    ----------
    sample : int
        Residents compared per eviction, at least 1.
    """

    sample: int = 64

    def __post_init__(self) -> None:
        if self.sample < 1:
            raise UsageError(f"hyperbolic: sample={self.sample}; expected 1 or more, for example sample=64")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(
            np.full(setting.n_objects, -1, np.int32),
            np.empty(setting.max_resident, np.int32),
            np.empty((setting.max_resident, 2)),
            np.zeros(1, np.int64),
            np.full(1, self.sample, np.int64),
            setting.random_state(),
            setting.costs,
        )


def _find(state, obj):
    return state.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    state.record[state.slot_of[obj], _WORTH] += np.float64(weight(state.costs, now)) / size


def _insert(state, obj, now, size):
    slot = state.n_residents[0]
    state.n_residents[0] = slot + 1
    state.slot_of[obj] = slot
    state.obj_of[slot] = obj
    state.record[slot, _WORTH] = np.float64(weight(state.costs, now)) / size
    state.record[slot, _ENTERED] = now


def _evict(state, obj, now, size):
    last = state.n_residents[0] - 1
    lowest = np.inf
    slot = last
    for _ in range(state.sample[0]):
        tried = random_below(state.rng, last + 1)
        priority = state.record[tried, _WORTH] / (now - state.record[tried, _ENTERED])
        if priority < lowest:
            lowest = priority
            slot = tried
    victim = state.obj_of[slot]
    moved = state.obj_of[last]
    state.slot_of[moved] = slot
    state.obj_of[slot] = moved
    state.record[slot, _WORTH] = state.record[last, _WORTH]
    state.record[slot, _ENTERED] = state.record[last, _ENTERED]
    state.slot_of[victim] = -1
    state.n_residents[0] = last
    return victim


kernels(State, _find, _hit, _insert, _evict)
