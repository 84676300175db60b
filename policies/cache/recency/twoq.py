"""2Q: throw away first what was requested only for a short while.

Newcomers enter a FIFO queue, A1in; requests there count for nothing, they are thought to belong together. Who leaves it is
remembered in A1out. Only who is requested again from there is worth keeping: it enters Am, an LRU list. A1in gives way while it
exceeds its share, otherwise Am does.

State: A1in and Am as two lists on a shelf, and a ghost queue.
Source: Johnson, Shasha, "2Q: a low overhead high performance buffer management replacement algorithm", VLDB 1994, section 2.2
(full version) with Kin 25 % and Kout 50 % of the cache, the values it recommends.

The paper is about pages. With byte sizes, Kin and Kout are bytes (Kout: of what left A1in). The requested object leaves A1out
before room is made for it; the paper's order would let the victim push out another ghost first. libCacheSim 0.3.5 (TwoQ)
does the same, and agrees request by request on unit sizes; on byte sizes it also keeps Am to its share, and refuses
objects larger than Kin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels, weight
from ...ghost import Ghost, forget, make_ghost, remember, remembers
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, bottom, give_back, make_shelf, oldest, push, take, unlink

__all__ = ["TwoQ"]

_A1IN, _AM = 0, 1
_HELD, _KIN, _BOUND_FOR = 0, 1, 2


class State(NamedTuple):
    """What 2Q remembers.

    Attributes
    ----------
    shelf : Shelf
        Lists A1in (by entry) and Am (by last request).
    queue : uint8[most residents]
        By slot: 0 in A1in, 1 in Am.
    a1out : Ghost
        Who left A1in.
    a1in : int64[3]
        Weight of A1in and its share (bytes, or objects when sizes are off); then the queue that the newcomer will enter.
    stored : int64[n_objects], bytes, or None
        The setting's.
    """

    shelf: Shelf
    queue: Any
    a1out: Ghost
    a1in: Any
    stored: Any


@policy(title="2Q", year=1994, source="https://www.vldb.org/conf/1994/P439.PDF")
@dataclass(frozen=True)
class TwoQ(Policy):
    """Full 2Q: two queues and the memory of one.

    Parameters
    ----------
    kin : float, 0 .. 1
        Share of A1in in the capacity, rounded down.
    kout : float, 0 .. 16
        Budget of A1out, in capacities, rounded down.
    """

    kin: float = 0.25
    kout: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.kin <= 1:
            raise UsageError(f"twoq: kin={self.kin} is not within 0 .. 1")
        if not 0 <= self.kout <= 16:
            raise UsageError(f"twoq: kout={self.kout} is not within 0 .. 16")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(
            make_shelf(setting.n_objects, setting.max_resident, 2),
            np.zeros(setting.max_resident, np.uint8),
            make_ghost(setting, int(setting.capacity * self.kout)),
            np.array([0, int(setting.capacity * self.kin), _A1IN], np.int64),
            setting.stored,
        )


def _find(state, obj):
    return state.shelf.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.shelf.slot_of[obj]
    if state.queue[slot] == _AM:
        unlink(state.shelf, slot)
        push(state.shelf, _AM, slot)


def _admit(state, obj, now, size):
    state.a1in[_BOUND_FOR] = _A1IN
    if remembers(state.a1out, obj):
        forget(state.a1out, obj)
        state.a1in[_BOUND_FOR] = _AM
    return True


def _insert(state, obj, now, size):
    slot = take(state.shelf, obj)
    to = state.a1in[_BOUND_FOR]
    state.queue[slot] = to
    push(state.shelf, to, slot)
    if to == _A1IN:
        state.a1in[_HELD] += size


@helper
def _giving_way(state):
    """Return the queue that makes room: A1in while it exceeds its share, or when Am is empty."""
    return _A1IN if state.a1in[_HELD] > state.a1in[_KIN] or oldest(state.shelf, _AM) < 0 else _AM


def _peek(state, obj, now, size):
    return state.shelf.obj_of[bottom(state.shelf, _giving_way(state))]


def _evict(state, obj, now, size):
    queue = _giving_way(state)
    slot = bottom(state.shelf, queue)
    unlink(state.shelf, slot)
    victim = give_back(state.shelf, slot)
    if queue == _A1IN:
        held = weight(state.stored, victim)
        state.a1in[_HELD] -= held
        remember(state.a1out, victim, held)
    return victim


kernels(State, _find, _hit, _insert, _evict, admit=_admit, peek=_peek)
