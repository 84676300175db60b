"""Mark&Predict: throw away a random object that was not requested in this phase and is not expected in it either.

With each request comes a phase bit: 0 = the object will be requested in the next k-phase. Marking as in `marker`; the
victim is drawn from the unmarked whose last bit was 1, or from all unmarked if there is none.

Guarantee (objects of one size, capacity k, H_k: k-th harmonic number): expected misses <= 2 OPT + H_k eta0 + eta1, and
O(log k) OPT whatever the bits are, because it marks and draws at random. With perfect bits it misses exactly the clean
requests: those for objects that the phase before did not have.

State: the residents in one array: unmarked with bit 1, unmarked with bit 0, marked.
Source: Antoniadis, Boyar, Eliáš, Favrholdt, Hoeksma, Larsen, Polák, Simon, "Paging with succinct predictions", ICML 2023.
We had its abstract and descriptions by others; the guarantee is checked on all small instances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import helper, kernels, place
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["MarkPredict"]

_ONES, _UNMARKED, _RESIDENTS = 0, 1, 2


class State(NamedTuple):
    """What Mark&Predict remembers.

    Attributes
    ----------
    at : int32[n_objects]
        Where in `residents` the object stands, -1 when it is not resident.
    residents : int32[most residents]
        First the unmarked whose bit is 1, then the unmarked whose bit is 0, then the marked.
    counts : int64[3]
        Number of the first, of the first two, and of all.
    bit : uint8[n_objects]
        The bit that came with the object's last request.
    rng : uint64[1]
    bits : uint8[n_requests]
    """

    at: Any
    residents: Any
    counts: Any
    bit: Any
    rng: Any
    bits: Any


@policy(
    title="Mark&Predict",
    year=2023,
    source="https://proceedings.mlr.press/v202/antoniadis23a.html",
    sizes=False,
    random=True,
    predictions="phase",
)
@dataclass(frozen=True)
class MarkPredict(Policy):
    """Phase bits: mark, and evict a 1 among the unmarked."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(
            np.full(setting.n_objects, -1, np.int32),
            np.empty(setting.max_resident, np.int32),
            np.zeros(3, np.int64),
            np.zeros(setting.n_objects, np.uint8),
            setting.random_state(),
            setting.predictions("phase"),
        )


def _find(state, obj):
    return state.at[obj] >= 0


@helper
def _put(state, obj, at):
    state.residents[at] = obj
    state.at[obj] = at


@helper
def _close(state, at):
    """Fill a gap among the unmarked from their end, group by group; return where the gap is then."""
    if at < state.counts[_ONES]:
        last = state.counts[_ONES] - 1
        _put(state, state.residents[last], at)
        state.counts[_ONES] = last
        at = last
    last = state.counts[_UNMARKED] - 1
    if at < last:  # or else the last is the gap, or was moved already
        _put(state, state.residents[last], at)
    state.counts[_UNMARKED] = last
    return last


def _hit(state, obj, now, size):
    at = np.int64(state.at[obj])
    if at < state.counts[_UNMARKED]:
        _put(state, obj, _close(state, at))
    state.bit[obj] = state.bits[place(now)]


def _insert(state, obj, now, size):
    _put(state, obj, state.counts[_RESIDENTS])
    state.counts[_RESIDENTS] += 1
    state.bit[obj] = state.bits[place(now)]


@helper
def _begin_phase(state):
    """Unmark all, and bring those with bit 1 to the front."""
    ones = 0
    for at in range(state.counts[_RESIDENTS]):
        obj = state.residents[at]
        if state.bit[obj]:
            _put(state, state.residents[ones], at)
            _put(state, obj, ones)
            ones += 1
    state.counts[_ONES] = ones
    state.counts[_UNMARKED] = state.counts[_RESIDENTS]


def _evict(state, obj, now, size):
    if state.counts[_UNMARKED] == 0:
        _begin_phase(state)
    ones = state.counts[_ONES]
    at = random_below(state.rng, ones if ones > 0 else state.counts[_UNMARKED])
    victim = state.residents[at]
    gap = _close(state, at)
    last = state.counts[_RESIDENTS] - 1
    if gap < last:
        _put(state, state.residents[last], gap)
    state.at[victim] = -1
    state.counts[_RESIDENTS] = last
    return victim


kernels(State, _find, _hit, _insert, _evict)
