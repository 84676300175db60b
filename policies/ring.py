"""A first-in-first-out queue in a circular array: push and pop touch consecutive memory only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper

__all__ = ["Ring", "front", "length", "make_ring", "pop", "push"]

_FRONT, _BACK = 0, 1


class Ring(NamedTuple):
    """A queue of objects.

    Attributes
    ----------
    slots : uint32[most members + 1]
        Circular; one place stays free, so that full and empty differ.
    ends : uint32[2]
        Place of the oldest member, and the place after the newest.
    """

    slots: Any
    ends: Any


def make_ring(most: int) -> Ring:
    """Return an empty queue with room for `most` members."""
    return Ring(np.empty(most + 1, np.uint32), np.zeros(2, np.uint32))


@helper
def length(ring):
    """Return the number of members."""
    count = np.int64(ring.ends[_BACK]) - np.int64(ring.ends[_FRONT])
    return count if count >= 0 else count + len(ring.slots)


@helper
def front(ring):
    """Return the oldest member; there must be one."""
    return ring.slots[ring.ends[_FRONT]]


@helper
def push(ring, obj):
    """Add `obj` as the newest member; there must be room."""
    at = ring.ends[_BACK]
    ring.slots[at] = obj
    at += 1
    ring.ends[_BACK] = at if at < len(ring.slots) else 0


@helper
def pop(ring):
    """Remove and return the oldest member; there must be one."""
    at = ring.ends[_FRONT]
    obj = ring.slots[at]
    at += 1
    ring.ends[_FRONT] = at if at < len(ring.slots) else 0
    return obj
