"""Flush-When-All-0s: throw away an object whose bit says that it may go; if none does, throw away all.

With each request comes a discard bit (1 = may go). A victim is any object whose last bit was 1; here, the one requested
longest ago. If all residents were to be kept, at least one of the bits was wrong, and the cache starts afresh.

Guarantee (objects of one size, capacity k): misses <= OPT + (k-1) eta0 + eta1, where eta0 counts the bits that wrongly
said keep, eta1 those that wrongly said go; no deterministic algorithm has better factors with the 1 before OPT.
Alone it is not robust: bad bits cost any factor.

State: two lists on a shelf, by bit, and a third for what is being flushed; the last two take turns.
Source: Antoniadis, Boyar, Eliáš, Favrholdt, Hoeksma, Larsen, Polák, Simon, "Paging with succinct predictions", ICML 2023.
We had its abstract and descriptions by others; the guarantee is checked on all small instances. The rule for ties is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import KEPT, kernels, place, unsigned
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, bottom, give_back, make_shelf, oldest, push, take, unlink, unlink_bottom

__all__ = ["FlushWhenAllZeros"]

_ONES = 0


class State(NamedTuple):
    """What the algorithm remembers.

    Attributes
    ----------
    shelf : Shelf
        List 0: objects whose bit is 1; lists 1 and 2: those whose bit is 0, and those being flushed.
    zeros : int64[1]
        Which of the lists 1 and 2 is for zeros.
    bits : uint8[n_requests]
    """

    shelf: Shelf
    zeros: Any
    bits: Any


@policy(
    title="Flush-When-All-0s",
    year=2023,
    source="https://proceedings.mlr.press/v202/antoniadis23a.html",
    sizes=False,
    predictions="discard",
)
@dataclass(frozen=True)
class FlushWhenAllZeros(Policy):
    """Discard bits: evict a 1, and flush when there is none."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(
            make_shelf(setting.n_objects, setting.max_resident, 3),
            np.ones(1, np.int64),
            setting.predictions("discard"),
        )


def _find(state, obj):
    return state.shelf.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = unsigned(state.shelf.slot_of[obj])
    unlink(state.shelf, slot)
    push(state.shelf, _ONES if state.bits[place(now)] else state.zeros[0], slot)


def _insert(state, obj, now, size):
    push(state.shelf, _ONES if state.bits[place(now)] else state.zeros[0], take(state.shelf, obj))


def _peek(state, obj, now, size):
    slot = oldest(state.shelf, _ONES)
    return state.shelf.obj_of[slot if slot >= 0 else bottom(state.shelf, state.zeros[0])]


def _evict(state, obj, now, size):
    if oldest(state.shelf, _ONES) >= 0:
        return give_back(state.shelf, unlink_bottom(state.shelf, _ONES))
    flushed = state.zeros[0]
    state.zeros[0] = 3 - flushed
    return give_back(state.shelf, unlink_bottom(state.shelf, flushed))


def _release(state, obj, now, size):
    flushed = 3 - state.zeros[0]
    if oldest(state.shelf, flushed) < 0:
        return np.int64(KEPT)
    return np.int64(give_back(state.shelf, unlink_bottom(state.shelf, flushed)))


kernels(State, _find, _hit, _insert, _evict, peek=_peek, release=_release)
