"""Mark0: throw away what may go, at once; while everything is to be kept, mark and throw away at random.

With each request comes a discard bit (1 = may go). An object whose bit is 1 leaves as soon as it was served, so that all
residents carry a 0. When room is needed and nobody is unmarked, a phase begins: all residents are unmarked. A request
marks. The victim is drawn from the unmarked.

Guarantee (objects of one size, capacity k, H_k: k-th harmonic number): expected misses <= OPT + 2 H_k eta0 + eta1.

``lazy`` keeps what the algorithm throws away until its room is needed, the longest discarded to leave first. Never worse
for the same random numbers, and much better where bits wrongly say that objects may go: with ``lazy=false`` each of those
costs a miss. Alone it is not robust, lazy or not: wrong zeros cost a factor of their own, and ones that are all wrong make
``lazy=false`` miss every request. `follow_leader` and `blum_burch` help.

State: the residents that the algorithm keeps, first the unmarked; with `lazy` the others in a list.
Source: Antoniadis, Boyar, Eliáš, Favrholdt, Hoeksma, Larsen, Polák, Simon, "Paging with succinct predictions", ICML 2023.
We had its abstract and an implementation by others; the guarantee is checked on all small instances. Lazy: the usual remark
that a demand pager need not follow its model before it has to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import KEPT, helper, kernels, place
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, give_back, make_shelf, push, take, unlink, unlink_bottom

__all__ = ["Mark0"]

_UNMARKED, _KEPT = 0, 1
_NOWHERE = -1


class State(NamedTuple):
    """What Mark0 remembers.

    Attributes
    ----------
    at : int32[n_objects]
        Where in `kept` the object stands, -1 when it is not among them.
    kept : int32[most residents]
        First the unmarked, then the others.
    counts : int64[2]
        Number of the unmarked, and of all in `kept`.
    rng : uint64[1]
    bits : uint8[n_requests]
    """

    at: Any
    kept: Any
    counts: Any
    rng: Any
    bits: Any


class LazyState(NamedTuple):
    """What the lazy form remembers.

    Attributes
    ----------
    logical : State
        What Mark0 would hold.
    left : Shelf
        One list of residents that Mark0 would not hold, by when they were given up.
    """

    logical: State
    left: Shelf


@policy(
    title="Mark0",
    year=2023,
    source="https://proceedings.mlr.press/v202/antoniadis23a.html",
    sizes=False,
    random=True,
    predictions="discard",
)
@dataclass(frozen=True)
class Mark0(Policy):
    """Discard bits: discard the ones, mark the zeros.

    Parameters
    ----------
    lazy : bool
        Keep what is discarded until its room is needed; false is the form that was analysed.
    """

    lazy: bool = True

    def make(self, setting: Setting) -> State | LazyState:
        """Return an empty cache."""
        state = State(
            np.full(setting.n_objects, _NOWHERE, np.int32),
            np.empty(setting.max_resident, np.int32),
            np.zeros(2, np.int64),
            setting.random_state(),
            setting.predictions("discard"),
        )
        return LazyState(state, make_shelf(setting.n_objects, setting.max_resident)) if self.lazy else state


@helper
def _put(state, obj, at):
    state.kept[at] = obj
    state.at[obj] = at


@helper
def _mark(state, obj):
    at = state.at[obj]
    last = state.counts[_UNMARKED] - 1
    if at <= last:
        _put(state, state.kept[last], at)
        _put(state, obj, last)
        state.counts[_UNMARKED] = last


@helper
def _add(state, obj):
    _put(state, obj, state.counts[_KEPT])
    state.counts[_KEPT] += 1


@helper
def _discard_marked(state, obj):
    last = state.counts[_KEPT] - 1
    _put(state, state.kept[last], state.at[obj])
    state.at[obj] = _NOWHERE
    state.counts[_KEPT] = last


@helper
def _draw(state):
    """Take a random one of the unmarked out."""
    kept = state.counts[_KEPT]
    if state.counts[_UNMARKED] == 0:
        state.counts[_UNMARKED] = kept
    unmarked = state.counts[_UNMARKED]
    at = random_below(state.rng, unmarked)
    victim = state.kept[at]
    # Close the gap with the last of the unmarked, and the gap that this leaves with the last of all.
    _put(state, state.kept[unmarked - 1], at)
    if unmarked < kept:
        _put(state, state.kept[kept - 1], unmarked - 1)
    state.at[victim] = _NOWHERE
    state.counts[_UNMARKED] = unmarked - 1
    state.counts[_KEPT] = kept - 1
    return victim


def _find(state, obj):
    return state.at[obj] >= 0


def _hit(state, obj, now, size):
    _mark(state, obj)


def _insert(state, obj, now, size):
    _add(state, obj)


def _evict(state, obj, now, size):
    return _draw(state)


def _release(state, obj, now, size):
    if state.bits[place(now)] == 0 or state.at[obj] < 0:
        return np.int64(KEPT)
    _discard_marked(state, obj)
    return np.int64(obj)


kernels(State, _find, _hit, _insert, _evict, release=_release)


@helper
def _give_up(state, obj):
    push(state.left, 0, take(state.left, obj))


@helper
def _make_logical_room(state):
    if state.logical.counts[_KEPT] == len(state.logical.kept):
        _give_up(state, _draw(state.logical))


def _find_lazy(state, obj):
    return state.logical.at[obj] >= 0 or state.left.slot_of[obj] >= 0


def _hit_lazy(state, obj, now, size):
    bit = state.logical.bits[place(now)]
    if state.logical.at[obj] >= 0:
        _mark(state.logical, obj)
        if bit:
            _discard_marked(state.logical, obj)
            _give_up(state, obj)
        return
    # Given up, but still there: a miss of the model that costs nothing.
    slot = state.left.slot_of[obj]
    unlink(state.left, slot)
    if bit:
        _make_logical_room(state)
        push(state.left, 0, slot)
    else:
        give_back(state.left, slot)
        _make_logical_room(state)
        _add(state.logical, obj)


def _admit_lazy(state, obj, now, size):
    _make_logical_room(state)
    return True


def _insert_lazy(state, obj, now, size):
    if state.logical.bits[place(now)]:
        _give_up(state, obj)
    else:
        _add(state.logical, obj)


def _evict_lazy(state, obj, now, size):
    return give_back(state.left, unlink_bottom(state.left, 0))


kernels(LazyState, _find_lazy, _hit_lazy, _insert_lazy, _evict_lazy, admit=_admit_lazy)
