"""A first-in-first-out queue in a circular array: push and pop touch consecutive memory only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper

__all__ = ["Ring", "length", "make_ring", "pop", "push"]


class Ring(NamedTuple):
    """`slots`: int32[most members], circular. `ends`: int64[2], index of the oldest member and number of members."""

    slots: Any
    ends: Any


def make_ring(most: int) -> Ring:
    """Return an empty queue with room for `most` members."""
    return Ring(np.empty(max(most, 1), np.int32), np.zeros(2, np.int64))


@helper
def length(ring):  # type: ignore[no-untyped-def]
    """Return the number of members."""
    return ring.ends[1]


@helper
def push(ring, obj):  # type: ignore[no-untyped-def]
    """Add `obj` as the newest member; there must be room."""
    at = ring.ends[0] + ring.ends[1]
    if at >= len(ring.slots):
        at -= len(ring.slots)
    ring.slots[at] = obj
    ring.ends[1] += 1


@helper
def pop(ring):  # type: ignore[no-untyped-def]
    """Remove and return the oldest member; there must be one."""
    at = ring.ends[0]
    obj = ring.slots[at]
    at += 1
    ring.ends[0] = at if at < len(ring.slots) else 0
    ring.ends[1] -= 1
    return obj
