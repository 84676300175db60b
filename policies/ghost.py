"""A ghost queue: who was thrown away lately, first in first out, where leaving from the middle costs nothing.

A ghost remembers numbers, not objects: it takes no room in the cache. Its budget is stated in what the objects weighed,
bytes or a count, so that a ghost "of 90 %" means the same for equal and for unequal sizes.

An object that returns leaves a hole in the queue and gives its weight back at once, so that older ghosts live longer;
counting insertions instead (an object is forgotten after so many others, whoever has left) forgets them earlier.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper, weight
from .remembered import make_remembered
from .remembered import remember as note_weight
from .setting import Setting

__all__ = ["Ghost", "forget", "make_ghost", "remember", "remembers"]

_TAIL, _HEAD, _HELD, _BUDGET = range(4)
_HOLE = -1


class Ghost(NamedTuple):
    """A queue with holes.

    Attributes
    ----------
    place : int32[n_objects]
        Where in `queue` the object is remembered, -1 for nowhere.
    queue : int32[2 * most remembered + 64]
        Objects from oldest to newest, -1 where one has left. When it is full, the living move to its beginning.
    ends : int64[4]
        First place that may be taken, first free place, weight held, and budget (both bytes, or objects).
    weights : int64[n_objects], bytes, or None
        What each remembered object weighed; None when sizes are off.
    """

    place: Any
    queue: Any
    ends: Any
    weights: Any


def make_ghost(setting: Setting, budget: int) -> Ghost:
    """Return an empty ghost queue for objects of `budget` bytes in all (objects when sizes are off)."""
    n = setting.n_objects
    sized = setting.stored is not None
    return Ghost(
        np.full(n, -1, np.int32),
        np.empty(2 * (n if sized else min(n, budget)) + 64, np.int32),
        np.array([0, 0, 0, budget], np.int64),
        make_remembered(setting),
    )


@helper
def remembers(ghost, obj):
    """Tell whether `obj` is remembered."""
    return ghost.place[obj] >= 0


@helper
def forget(ghost, obj):
    """Take a remembered `obj` out of the queue."""
    ghost.queue[ghost.place[obj]] = _HOLE
    ghost.place[obj] = -1
    ghost.ends[_HELD] -= weight(ghost.weights, obj)


@helper
def remember(ghost, obj, size):
    """Put `obj`, not yet remembered, at the newest end; the oldest are forgotten until it fits the budget."""
    if size > ghost.ends[_BUDGET]:
        return
    while ghost.ends[_HELD] + size > ghost.ends[_BUDGET]:
        _forget_oldest(ghost)
    head = ghost.ends[_HEAD]
    if head == len(ghost.queue):
        head = _close_holes(ghost)
    ghost.queue[head] = obj
    ghost.place[obj] = head
    ghost.ends[_HEAD] = head + 1
    ghost.ends[_HELD] += size
    note_weight(ghost.weights, obj, size)


@helper
def _forget_oldest(ghost):
    tail = ghost.ends[_TAIL]
    while ghost.queue[tail] == _HOLE:
        tail += 1
    ghost.ends[_TAIL] = tail
    forget(ghost, ghost.queue[tail])


@helper
def _close_holes(ghost):
    """Move the remembered to the front of the array, in order; return the first free place."""
    to = 0
    for at in range(ghost.ends[_TAIL], len(ghost.queue)):
        obj = ghost.queue[at]
        if obj != _HOLE:
            ghost.queue[to] = obj
            ghost.place[obj] = to
            to += 1
    ghost.ends[_TAIL] = 0
    return to
