"""A shelf of slots: doubly linked lists over the residents, not over all objects.

Only `slot_of` has one entry per object; everything else is as large as the cache, so that it stays in the processor's
caches when the trace does not. (Measured against links over all objects: 1.0-1.5 times as fast where everything fits,
2 times where it does not.) A shelf carries several lists; a slot is in one of them at a time, and policies keep their
own per-slot columns beside it, indexed by the same slots.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper

__all__ = [
    "Shelf",
    "bottom",
    "give_back",
    "make_shelf",
    "newer",
    "newest",
    "older",
    "oldest",
    "push",
    "push_oldest",
    "take",
    "unlink",
    "unlink_bottom",
]

_OLDER, _NEWER = 0, 1


class Shelf(NamedTuple):
    """Slots 0 .. m-1 for objects, and one more for the ends of each list.

    Attributes
    ----------
    slot_of : int32[n_objects]
        The object's slot, -1 for none.
    obj_of : uint32[m]
        The slot's object.
    links : uint32[2 * (m + lists)]
        Neighbours of each slot, older and newer side by side. Slot ``m + k`` closes list k into a ring: its older
        neighbour is the newest entry, its newer neighbour the oldest. Flat and unsigned, because numba would multiply by
        the number of columns and test for negative indices at every step from link to link (1.3 times the time of LRU).
    free : uint32[1]
        A slot that is free; free slots are chained by their first link.
    """

    slot_of: Any
    obj_of: Any
    links: Any
    free: Any


def make_shelf(n_objects: int, n_slots: int, n_lists: int = 1) -> Shelf:
    """Return a shelf of `n_slots` free slots and `n_lists` empty lists."""
    links = np.zeros(2 * (n_slots + n_lists), np.uint32)
    links[: 2 * n_slots : 2] = np.arange(1, n_slots + 1)
    links[2 * n_slots :] = np.repeat(np.arange(n_slots, n_slots + n_lists), 2)
    return Shelf(np.full(n_objects, -1, np.int32), np.zeros(n_slots, np.uint32), links, np.zeros(1, np.uint32))


@helper
def take(shelf, obj):
    """Give `obj` a free slot (there must be one) and return it; it is in no list yet."""
    slot = shelf.free[0]
    shelf.free[0] = shelf.links[2 * slot]
    shelf.slot_of[obj] = slot
    shelf.obj_of[slot] = obj
    return slot


@helper
def give_back(shelf, slot):
    """Free a slot that is in no list, and return the object it held."""
    obj = shelf.obj_of[slot]
    shelf.slot_of[obj] = -1
    shelf.links[2 * slot] = shelf.free[0]
    shelf.free[0] = slot
    return obj


@helper
def push(shelf, which, slot):
    """Put a slot that is in no list at the newest end of list `which`."""
    end = len(shelf.obj_of) + which
    top = shelf.links[2 * end + _OLDER]
    shelf.links[2 * slot + _OLDER] = top
    shelf.links[2 * slot + _NEWER] = end
    shelf.links[2 * top + _NEWER] = slot
    shelf.links[2 * end + _OLDER] = slot


@helper
def push_oldest(shelf, which, slot):
    """Put a slot that is in no list at the oldest end of list `which`."""
    end = len(shelf.obj_of) + which
    bottom = shelf.links[2 * end + _NEWER]
    shelf.links[2 * slot + _NEWER] = bottom
    shelf.links[2 * slot + _OLDER] = end
    shelf.links[2 * bottom + _OLDER] = slot
    shelf.links[2 * end + _NEWER] = slot


@helper
def unlink(shelf, slot):
    """Take a slot out of its list; it keeps its object."""
    older_slot = shelf.links[2 * slot + _OLDER]
    newer_slot = shelf.links[2 * slot + _NEWER]
    shelf.links[2 * newer_slot + _OLDER] = older_slot
    shelf.links[2 * older_slot + _NEWER] = newer_slot


@helper
def oldest(shelf, which):
    """Return the oldest slot of list `which`, or -1 when the list is empty."""
    slot = shelf.links[2 * (len(shelf.obj_of) + which) + _NEWER]
    return slot if slot < len(shelf.obj_of) else -1


@helper
def bottom(shelf, which):
    """Return the oldest slot of list `which`, which must not be empty: `oldest` without the test (a tenth of LRU's time)."""
    return shelf.links[2 * (len(shelf.obj_of) + which) + _NEWER]


@helper
def unlink_bottom(shelf, which):
    """Take the oldest slot out of list `which`, which must not be empty, and return it; cheaper than `unlink`."""
    end = len(shelf.obj_of) + which
    slot = shelf.links[2 * end + _NEWER]
    newer_slot = shelf.links[2 * slot + _NEWER]
    shelf.links[2 * end + _NEWER] = newer_slot
    shelf.links[2 * newer_slot + _OLDER] = end
    return slot


@helper
def newest(shelf, which):
    """Return the newest slot of list `which`, or -1 when the list is empty."""
    slot = shelf.links[2 * (len(shelf.obj_of) + which) + _OLDER]
    return slot if slot < len(shelf.obj_of) else -1


@helper
def newer(shelf, slot):
    """Return the next newer slot of the same list, or -1 for the newest."""
    slot = shelf.links[2 * slot + _NEWER]
    return slot if slot < len(shelf.obj_of) else -1


@helper
def older(shelf, slot):
    """Return the next older slot of the same list, or -1 for the oldest."""
    slot = shelf.links[2 * slot + _OLDER]
    return slot if slot < len(shelf.obj_of) else -1
