"""A heap over slots: the largest key on top, keys may change at any time, equal keys by slot.

For policies that throw away the highest of scores that go up and down, such as predicted times. Where residents are in
slots 0 .. m-1 and a slot's key is looked at only when it is at stake, a 4-ary heap costs a few comparisons per change:
a resident that was just requested is due soon, stays near the leaves and moves by a step or two.

Of equal keys the one in the highest slot is on top. A policy whose rule names the lowest numbers its slots downwards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper

__all__ = ["SlotHeap", "build", "drop", "make_slot_heap", "put", "top"]

_CHILDREN = 4
_OUTSIDE = -1


class SlotHeap(NamedTuple):
    """Some of the slots 0 .. m-1, each with a key.

    Attributes
    ----------
    key : float64[m]
        By place in the heap.
    slot : int32[m]
        By place in the heap.
    place : int32[m]
        By slot: its place, -1 = not in the heap.
    count : int64[1]
        Places in use.
    """

    key: Any
    slot: Any
    place: Any
    count: Any


def make_slot_heap(n_slots: int) -> SlotHeap:
    """Return an empty heap."""
    return SlotHeap(
        np.empty(n_slots), np.empty(n_slots, np.int32), np.full(n_slots, _OUTSIDE, np.int32), np.zeros(1, np.int64)
    )


@helper
def top(heap):
    """Return the slot with the largest key (there must be one); it stays."""
    return np.int64(heap.slot[0])


@helper
def put(heap, slot, key):
    """Give a slot a key, whether it is in the heap or not."""
    at = np.int64(heap.place[slot])
    if at < 0:
        at = heap.count[0]
        heap.count[0] = at + 1
        _rise(heap, at, slot, key)
    elif key > heap.key[at]:
        _rise(heap, at, slot, key)
    else:
        _sink(heap, at, slot, key)


@helper
def drop(heap, slot):
    """Take a slot out of the heap."""
    at = np.int64(heap.place[slot])
    heap.place[slot] = _OUTSIDE
    last = heap.count[0] - 1
    heap.count[0] = last
    if at == last:
        return
    moved, key = np.int64(heap.slot[last]), heap.key[last]
    if at > 0 and _above(heap, key, moved, (at - 1) // _CHILDREN):
        _rise(heap, at, moved, key)
    else:
        _sink(heap, at, moved, key)


@helper
def build(heap, keys):
    """Fill the heap with all slots at once; `keys` is by slot. Takes time in proportion to their number."""
    n = len(keys)
    heap.count[0] = n
    for slot in range(n):
        heap.key[slot] = keys[slot]
        heap.slot[slot] = slot
        heap.place[slot] = slot
    for at in range((n - 2) // _CHILDREN, -1, -1):
        _sink(heap, at, np.int64(heap.slot[at]), heap.key[at])


@helper
def _above(heap, key, slot, at):
    """Say whether a slot with that key belongs above what is in place `at`."""
    return key > heap.key[at] or (key == heap.key[at] and slot > heap.slot[at])


@helper
def _rise(heap, at, slot, key):
    while at > 0:
        parent = (at - 1) // _CHILDREN
        if not _above(heap, key, slot, parent):
            break
        _move(heap, at, parent)
        at = parent
    _write(heap, at, slot, key)


@helper
def _sink(heap, at, slot, key):
    n = heap.count[0]
    first = _CHILDREN * at + 1
    while first < n:
        best = first
        for child in range(first + 1, min(first + _CHILDREN, n)):
            if _above(heap, heap.key[child], heap.slot[child], best):
                best = child
        if _above(heap, key, slot, best):
            break
        _move(heap, at, best)
        at = best
        first = _CHILDREN * at + 1
    _write(heap, at, slot, key)


@helper
def _move(heap, to, at):
    heap.key[to] = heap.key[at]
    heap.slot[to] = heap.slot[at]
    heap.place[heap.slot[at]] = to


@helper
def _write(heap, at, slot, key):
    heap.key[at] = key
    heap.slot[at] = slot
    heap.place[slot] = at
