"""A heap that lets its members rise without being told: the lowest score leaves first, a hit is one write.

In every policy that throws away the lowest score, the score of a resident only grows. So a hit merely writes the new
score beside the member; the heap goes on holding the old one, which is a lower bound. Only when a member stands at the
top is its score looked up, and if it has grown the member sinks to its place. Members that are asked for often stay deep
in the heap and are never looked at. The top left by a victim stays empty until the next member falls in, which for most
policies sinks no further than a step or two.

Newcomers whose scores never fall from one to the next need no heap at all: they wait in a queue until they are its
oldest, and go to the heap only if they were asked for again meanwhile. Most victims are newcomers.

Equal scores leave in the order of their last request, oldest first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper
from .ring import Ring, front, length, make_ring, pop, push

__all__ = [
    "SCORE",
    "TIME",
    "Heap",
    "enter",
    "enter_in_order",
    "give_back",
    "leave",
    "lowest",
    "make_heap",
    "rescore",
]

SCORE, TIME = 0, 1
_PLACES, _HOLE, _FREE = 0, 1, 2
_CHILDREN = 4


class Heap(NamedTuple):
    """Members in slots 0 .. m-1, each in one place of a 4-ary heap or in the queue.

    Attributes
    ----------
    slot_of : int32[n_objects]
        The object's slot, -1 for none. Policies may keep columns of their own by slot.
    obj_of : int32[m]
        The slot's object; of a free slot, the next free one.
    rank : float64[m, 2]
        By slot: score (higher = keep) and index of the last request.
    entered : float64[m]
        By slot: index of the request that brought it in, for members in the queue.
    newcomers : Ring
        Slots of members that entered in order of score, and did not have their turn yet.
    key : float64[m, 2]
        By place in the heap: score and time as they were when the member was placed.
    slot : int32[m]
        By place in the heap: the member's slot.
    ends : int64[3]
        Places in use; 1 when the top place is empty; the first free slot.
    """

    slot_of: Any
    obj_of: Any
    rank: Any
    entered: Any
    newcomers: Ring
    key: Any
    slot: Any
    ends: Any


def make_heap(n_objects: int, most: int) -> Heap:
    """Return an empty heap for at most `most` members among `n_objects` objects."""
    return Heap(
        np.full(n_objects, -1, np.int32),
        np.arange(1, most + 1, dtype=np.int32),
        np.empty((most, 2)),
        np.empty(most),
        make_ring(most),
        np.empty((most, 2)),
        np.empty(most, np.int32),
        np.zeros(3, np.int64),
    )


@helper
def enter(heap, obj, score, now):
    """Add `obj` (not a member; there must be room) and return its slot."""
    slot = _take(heap, obj, score, now)
    _place(heap, slot)
    return slot


@helper
def enter_in_order(heap, obj, score, now):
    """Add `obj` as `enter` does; its score must not be below that of anyone who entered this way before."""
    slot = _take(heap, obj, score, now)
    heap.entered[slot] = now
    push(heap.newcomers, slot)
    return slot


@helper
def rescore(heap, slot, score, now):
    """Give a member its score after a request at `now`; not less than the one it had."""
    heap.rank[slot, SCORE] = score
    heap.rank[slot, TIME] = now


@helper
def lowest(heap):
    """Return the slot of the lowest member (there must be one); it stays."""
    return np.int64(front(heap.newcomers)) if _lowest_is_newcomer(heap) else np.int64(heap.slot[0])


@helper
def leave(heap):
    """Take the lowest member out of its place and return its slot, which it keeps until `give_back`."""
    if _lowest_is_newcomer(heap):
        return np.int64(pop(heap.newcomers))
    heap.ends[_HOLE] = 1
    return np.int64(heap.slot[0])


@helper
def give_back(heap, slot):
    """Free the slot of a member that left its place, and return the object it held."""
    obj = heap.obj_of[slot]
    heap.slot_of[obj] = -1
    heap.obj_of[slot] = heap.ends[_FREE]
    heap.ends[_FREE] = slot
    return obj


@helper
def _take(heap, obj, score, now):
    slot = heap.ends[_FREE]
    heap.ends[_FREE] = heap.obj_of[slot]
    heap.slot_of[obj] = slot
    heap.obj_of[slot] = obj
    rescore(heap, slot, score, now)
    return slot


@helper
def _place(heap, slot):
    """Put a member that is in no place into the heap."""
    n = heap.ends[_PLACES]
    if heap.ends[_HOLE] == 1:
        heap.ends[_HOLE] = 0
        _sink(heap, slot, n)
    else:
        heap.ends[_PLACES] = n + 1
        _rise(heap, slot, n)


@helper
def _lowest_is_newcomer(heap):
    """Bring the lowest member to the front of the queue (True) or to the top of the heap (False)."""
    while True:
        if length(heap.newcomers) > 0:
            slot = np.int64(front(heap.newcomers))
            if heap.rank[slot, TIME] != heap.entered[slot]:  # asked for again
                _place(heap, np.int64(pop(heap.newcomers)))
                continue
            # What the top place holds is a lower bound of the heap, even while it is empty or out of date.
            if heap.ends[_PLACES] == 0 or _before(heap.rank, slot, heap.key, 0):
                return True
        n = heap.ends[_PLACES]
        if heap.ends[_HOLE] == 1:  # fill the top from the bottom; where only the top was left, nothing is
            heap.ends[_HOLE] = 0
            heap.ends[_PLACES] = n - 1
            _sink(heap, np.int64(heap.slot[n - 1]), n - 1)
        else:
            slot = np.int64(heap.slot[0])
            if heap.rank[slot, TIME] == heap.key[0, TIME]:
                return False
            _sink(heap, slot, n)


@helper
def _before(a, i, b, j):
    """Say whether row i of `a` leaves before row j of `b`."""
    return a[i, SCORE] < b[j, SCORE] or (a[i, SCORE] == b[j, SCORE] and a[i, TIME] < b[j, TIME])


@helper
def _sink(heap, slot, n):
    """Place a member at the top of n places and let it sink, with the score it has now."""
    at = 0
    first = 1
    while first < n:
        least = first
        for child in range(first + 1, min(first + _CHILDREN, n)):
            if _before(heap.key, child, heap.key, least):
                least = child
        if not _before(heap.key, least, heap.rank, slot):
            break
        _move(heap, at, least)
        at = least
        first = _CHILDREN * at + 1
    _write(heap, at, slot)


@helper
def _rise(heap, slot, at):
    """Place a member at the bottom place `at` and let it rise, with the score it has now."""
    while at > 0:
        above = (at - 1) // _CHILDREN
        if not _before(heap.rank, slot, heap.key, above):
            break
        _move(heap, at, above)
        at = above
    _write(heap, at, slot)


@helper
def _move(heap, to, at):
    heap.key[to, SCORE] = heap.key[at, SCORE]
    heap.key[to, TIME] = heap.key[at, TIME]
    heap.slot[to] = heap.slot[at]


@helper
def _write(heap, at, slot):
    heap.key[at, SCORE] = heap.rank[slot, SCORE]
    heap.key[at, TIME] = heap.rank[slot, TIME]
    heap.slot[at] = slot
