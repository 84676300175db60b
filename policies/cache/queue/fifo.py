"""FIFO: throw away what entered first.

State: one byte per object and a circular queue; a hit reads one byte and writes nothing.
Source: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import kernels
from ...registry import Policy, policy
from ...ring import Ring, front, make_ring, pop, push
from ...setting import Setting

__all__ = ["Fifo"]


class State(NamedTuple):
    """`resident`: uint8[n_objects]. `queue`: the residents, in order of entry."""

    resident: Any
    queue: Ring


@policy(title="FIFO", year=1966, source="https://doi.org/10.1147/sj.52.0078")
@dataclass(frozen=True)
class Fifo(Policy):
    """First in, first out."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(np.zeros(setting.n_objects, np.uint8), make_ring(setting.max_resident))


def _find(state, obj):
    return state.resident[obj] != 0


def _hit(state, obj, now, size):
    pass


def _insert(state, obj, now, size):
    state.resident[obj] = 1
    push(state.queue, obj)


def _peek(state, obj, now, size):
    return front(state.queue)


def _evict(state, obj, now, size):
    victim = pop(state.queue)
    state.resident[victim] = 0
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
