"""CLOCK: throw away what entered first and was not requested since its last chance.

A hit raises the object's counter, which holds `bits` bits. The hand passes the residents in the order of their entry:
where the counter is above 0, it lowers it and gives another round; where it is 0, the object leaves. With one bit this is
the second chance of the textbooks. A queue in which survivors enter again behind the newest is the same algorithm
(FIFO-reinsertion), and that is how it is written here.

State: one byte per object and a circular queue; a hit writes a byte, unless the counter is full.
Source: Corbató, "A paging experiment with the Multics system", MIT Project MAC report MAC-M-384, 1968.
Differs from texts on operating systems, where the page that enters is marked as used: here, as in libCacheSim, its counter
starts at `init` = 0, so that one request alone earns no second round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels
from ...registry import Policy, policy
from ...ring import Ring, front, make_ring, pop, push
from ...setting import Setting

__all__ = ["Clock"]

_OUT = 0
_INITIAL, _HIGHEST = 0, 1


class State(NamedTuple):
    """What CLOCK remembers.

    Attributes
    ----------
    mark : uint8[n_objects]
        0 not resident, otherwise 1 + counter.
    limits : uint8[2]
        Marks of a newcomer and of a full counter.
    queue : Ring
        The residents, the one under the hand first.
    """

    mark: Any
    limits: Any
    queue: Ring


@policy(title="CLOCK", year=1968, source="https://www.multicians.org/paging-experiment.pdf")
@dataclass(frozen=True)
class Clock(Policy):
    """Second chance: FIFO in which requested objects get another round.

    Parameters
    ----------
    bits : int, 1 .. 7
        Bits of the counter: an object may earn ``2**bits - 1`` more rounds.
    init : int, 0 .. 2**bits - 1
        Counter of a newcomer.
    """

    bits: int = 1
    init: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 7:
            raise UsageError(f"clock: bits={self.bits} is not within 1 .. 7")
        if not 0 <= self.init < 2**self.bits:
            raise UsageError(
                f"clock: init={self.init} is not within 0 .. {2**self.bits - 1}, what {self.bits} bits hold"
            )

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        limits = np.array([1 + self.init, 2**self.bits], np.uint8)
        return State(np.zeros(setting.n_objects, np.uint8), limits, make_ring(setting.max_resident))


def _find(state, obj):
    return state.mark[obj] != _OUT


def _hit(state, obj, now, size):
    mark = state.mark[obj]
    if mark < state.limits[_HIGHEST]:
        state.mark[obj] = mark + 1


def _insert(state, obj, now, size):
    state.mark[obj] = state.limits[_INITIAL]
    push(state.queue, obj)


@helper
def _turn(state):
    """Move the hand to the next object whose counter is 0, and return that object."""
    obj = front(state.queue)
    while state.mark[obj] > 1:
        state.mark[obj] -= 1
        push(state.queue, pop(state.queue))
        obj = front(state.queue)
    return obj


def _peek(state, obj, now, size):
    return _turn(state)


def _evict(state, obj, now, size):
    victim = _turn(state)
    pop(state.queue)
    state.mark[victim] = _OUT
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
