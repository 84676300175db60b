"""LNonMarker: throw away who is predicted last for a clean newcomer; for the first to come back, anyone; then an unmarked one.

A phase ends with the request that would be for the (k+1)-st distinct object in it, hit or miss; all marks are wiped then, and
the residents of that moment are stale. A request marks. Who leaves for a newcomer depends on why it was away:

- it is clean (not stale): the unmarked object that is predicted last;
- it was thrown away in this phase for a clean one: an object drawn from the whole cache, marked or not;
- it was thrown away for a stale one: an object drawn from the unmarked.

Drawing from the whole cache makes it likely that the chain of misses which one wrong prediction set off ends at once, for
whoever leaves may not be needed in this phase. Guarantee of the combination with Marker (objects of one size, capacity k, eta:
sum of |predicted - true|): expected misses ``O(1 + min(1, eta/(k OPT)) log k)`` times the optimum's OPT. Alone it is not
robust: ``follow_leader+lnonmarker+marker`` is what is analysed and measured.

State: slots with marks as in `_marking`, and for whom each object was thrown away.
Source: Rohatgi, "Near-optimal bounds for online caching with machine learned advice", SODA 2020. Phases by distinct
objects (not by the first miss with all slots marked, as elsewhere: here marked objects may leave), ties to the highest
slot: the experiments of Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted predictions",
ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import helper, kernels
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting
from ._marking import Marking, begin_phase_if_due, drawn, due_last, enter, is_stale, leave, make_marking, touch

__all__ = ["LNonMarker"]

_UNMARKED, _FREE = 0, 1  # in the counts of `Marking`
_PHASE, _ARRIVED = 0, 1


class State(NamedTuple):
    """What LNonMarker remembers.

    Attributes
    ----------
    marking : Marking
    arrived : int32[n_objects]
        The last phase in which the object was requested.
    reason : int32[n_objects]
        For which newcomer the object was thrown away last.
    phase : int64[2]
        Number of the phase, and of the distinct objects requested in it.
    """

    marking: Marking
    arrived: Any
    reason: Any
    phase: Any


@policy(
    title="LNonMarker",
    year=2020,
    source="https://arxiv.org/abs/1910.12172",
    sizes=False,
    random=True,
    predictions="next_use",
)
@dataclass(frozen=True)
class LNonMarker(Policy):
    """Predicted times: believe for the clean, then draw from the whole cache, marked or not."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(
            make_marking(setting),
            np.full(setting.n_objects, -1, np.int32),
            np.full(setting.n_objects, -1, np.int32),
            np.zeros(2, np.int64),
        )


@helper
def _arrive(state, obj):
    """Count the object in this phase, or begin the next one with it."""
    if state.arrived[obj] == state.phase[_PHASE]:
        return
    if state.phase[_ARRIVED] == len(state.marking.slots):
        state.phase[_PHASE] += 1
        state.phase[_ARRIVED] = 0
        state.marking.counts[_UNMARKED] = 0  # whatever was still unmarked
        begin_phase_if_due(state.marking)
    state.arrived[obj] = state.phase[_PHASE]
    state.phase[_ARRIVED] += 1


@helper
def _empty(state, slot):
    """Empty any slot for the newcomer, for whom it is or stays marked; return the object it held."""
    marking = state.marking
    if marking.rank[slot] < marking.counts[_UNMARKED]:
        return leave(marking, slot)
    victim = marking.obj_of[slot]
    marking.slot_of[victim] = -1
    marking.counts[_FREE] = slot
    return victim


def _find(state, obj):
    return state.marking.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    _arrive(state, obj)
    touch(state.marking, obj, now)


def _admit(state, obj, now, size):
    _arrive(state, obj)
    return True


def _insert(state, obj, now, size):
    enter(state.marking, obj, now)


def _evict(state, obj, now, size):
    if not is_stale(state.marking, obj):
        slot = due_last(state.marking)
    elif not is_stale(state.marking, state.reason[obj]):
        slot = random_below(state.marking.rng, len(state.marking.slots))
    else:
        slot = drawn(state.marking)
    victim = _empty(state, slot)
    state.reason[victim] = obj
    return victim


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
