"""Marker: throw away a random object among those not requested in this phase.

A request marks its object. When room is needed and everybody is marked, a new phase begins: all marks are wiped. The victim
is drawn uniformly from the unmarked. In unit sizes, expected misses are at most ``2 H_k`` times the optimum's (H_k: k-th
harmonic number; later tightened to ``2 H_k - 1``), where every deterministic policy may need k times as many.

State: the residents in one array, first the unmarked, then the marked; marking swaps an object over the boundary.
Source: Fiat, Karp, Luby, McGeoch, Sleator, Young, "Competitive paging algorithms", Journal of Algorithms 12(4), 1991,
section 3. The paper is about pages; with byte sizes, victims are drawn until the newcomer fits, and if the unmarked do not
suffice, the next phase begins in the midst of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import helper, kernels
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Marker"]

_UNMARKED, _RESIDENTS = 0, 1


class State(NamedTuple):
    """What Marker remembers.

    Attributes
    ----------
    place : int32[n_objects]
        Where in `residents` the object stands, -1 when it is not resident.
    residents : int32[most residents]
        First the unmarked, then the marked.
    counts : int64[2]
        Number of the unmarked, and of all residents.
    rng : uint64[1]
    """

    place: Any
    residents: Any
    counts: Any
    rng: Any


@policy(title="Marker", year=1991, source="https://doi.org/10.1016/0196-6774(91)90041-V", random=True)
@dataclass(frozen=True)
class Marker(Policy):
    """Randomised marking."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(
            np.full(setting.n_objects, -1, np.int32),
            np.empty(setting.max_resident, np.int32),
            np.zeros(2, np.int64),
            setting.random_state(),
        )


def _find(state, obj):
    return state.place[obj] >= 0


@helper
def _put(state, obj, at):
    state.residents[at] = obj
    state.place[obj] = at


def _hit(state, obj, now, size):
    at = state.place[obj]
    last = state.counts[_UNMARKED] - 1
    if at <= last:
        _put(state, state.residents[last], at)
        _put(state, obj, last)
        state.counts[_UNMARKED] = last


def _insert(state, obj, now, size):
    _put(state, obj, state.counts[_RESIDENTS])
    state.counts[_RESIDENTS] += 1


def _evict(state, obj, now, size):
    residents = state.counts[_RESIDENTS]
    if state.counts[_UNMARKED] == 0:
        state.counts[_UNMARKED] = residents
    unmarked = state.counts[_UNMARKED]
    at = random_below(state.rng, unmarked)
    victim = state.residents[at]
    # Close the gap with the last of the unmarked, and the gap that this leaves with the last of all.
    _put(state, state.residents[unmarked - 1], at)
    if unmarked < residents:
        _put(state, state.residents[residents - 1], unmarked - 1)
    state.place[victim] = -1
    state.counts[_UNMARKED] = unmarked - 1
    state.counts[_RESIDENTS] = residents - 1
    return victim


kernels(State, _find, _hit, _insert, _evict)
