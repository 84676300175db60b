"""Random: throw away anyone, all with the same probability.

State: the residents in an array in no particular order, and each object's place in it; a hit writes nothing.
Source: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import kernels
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Random"]


class State(NamedTuple):
    """What Random remembers.

    Attributes
    ----------
    place : int32[n_objects]
        Where in `residents` the object stands, -1 when it is not resident.
    residents : int32[most residents]
    count : int64[1]
        How many there are.
    rng : uint64[1]
    """

    place: Any
    residents: Any
    count: Any
    rng: Any


@policy(title="Random", year=1966, source="https://doi.org/10.1147/sj.52.0078", random=True)
@dataclass(frozen=True)
class Random(Policy):
    """Uniformly random replacement."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(
            np.full(setting.n_objects, -1, np.int32),
            np.empty(setting.max_resident, np.int32),
            np.zeros(1, np.int64),
            setting.random_state(),
        )


def _find(state, obj):
    return state.place[obj] >= 0


def _hit(state, obj, now, size):
    pass


def _insert(state, obj, now, size):
    last = state.count[0]
    state.residents[last] = obj
    state.place[obj] = last
    state.count[0] = last + 1


def _evict(state, obj, now, size):
    at = random_below(state.rng, state.count[0])
    victim = state.residents[at]
    state.place[victim] = -1
    last = state.count[0] - 1
    state.count[0] = last
    if at != last:
        moved = state.residents[last]
        state.residents[at] = moved
        state.place[moved] = at
    return victim


kernels(State, _find, _hit, _insert, _evict)
