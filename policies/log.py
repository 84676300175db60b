"""A queue with holes: appending at the head is one write, leaving from the middle costs nothing.

The slots run from oldest (`tail`) to newest (`head`). Who is taken out of the middle, or appended again, leaves a hole
behind, which is recognised because the object's position says otherwise. When the head reaches the end of the array,
the living are moved to its beginning; with twice as many slots as living objects that is at most one move per append.

Compared with a doubly linked list, a move to the front touches one object instead of three, and four bytes per object
hold position and residency together.

`Log` holds int32 slots and two cursors; `pos` is an int32 array over the objects, -1 for those in no log. Several logs
may share one `pos` when an object is in one of them at a time: then `which[obj]` must be checked by the caller.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper

__all__ = ["HEAD", "TAIL", "Log", "append", "make_log", "oldest", "positions"]

TAIL, HEAD = 0, 1


class Log(NamedTuple):
    """Slots and cursors of a queue with holes.

    Attributes
    ----------
    slots : int32[>= 2 * most living objects + 64]
        Objects from oldest to newest, holes among them.
    ends : int64[2]
        `TAIL`: first slot that may hold a living object; `HEAD`: first free slot.
    """

    slots: Any
    ends: Any


def make_log(most_living: int) -> Log:
    """Return an empty log with room for `most_living` objects."""
    return Log(np.empty(2 * most_living + 64, np.int32), np.zeros(2, np.int64))


def positions(n_objects: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return int32[n_objects] positions: nobody is in a log yet."""
    return np.full(n_objects, -1, np.int32)


@helper
def append(log, pos, obj):
    """Put `obj` at the head; where it stood before becomes a hole."""
    head = log.ends[HEAD]
    if head == len(log.slots):
        head = _compact(log, pos)
    log.slots[head] = obj
    pos[obj] = head
    log.ends[HEAD] = head + 1


@helper
def _compact(log, pos):
    """Move the living to the front of the array, in order; return the new head."""
    to = 0
    for at in range(log.ends[TAIL], len(log.slots)):
        obj = log.slots[at]
        if pos[obj] == at:
            log.slots[to] = obj
            pos[obj] = to
            to += 1
    log.ends[TAIL] = 0
    return to


@helper
def oldest(log, pos):
    """Return the oldest living object (there must be one); it stays."""
    tail = log.ends[TAIL]
    obj = log.slots[tail]
    while pos[obj] != tail:
        tail += 1
        obj = log.slots[tail]
    log.ends[TAIL] = tail
    return obj
