"""How full is it at each moment: raise a stretch of time, and ask for the highest point of one.

Moments come in blocks of 64; above the blocks stands a binary tree that holds, for each node, its highest point and what was
added to all of it. Both operations look at two blocks and at two paths of the tree. Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..policies.contract import helper
from ..traces.jit import kernel

__all__ = ["Occupancy", "make_occupancy", "pack"]

_BLOCK = 64


class Occupancy(NamedTuple):
    """Bytes (or objects) held at each moment.

    Attributes
    ----------
    part : int64[moments, rounded up to whole blocks]
        By moment, without what was added to its whole block.
    top : int64[2 * leaves]
        By node of the tree (1 is the root, `leaves + b` is block b): the highest point, without what was added to the
        nodes above.
    added : int64[2 * leaves]
        By node: added to all of it, and for inner nodes not yet handed down.
    """

    part: Any
    top: Any
    added: Any


def make_occupancy(moments: int) -> Occupancy:
    """Return a cache that is empty at all `moments` moments."""
    blocks = max(1, -(-moments // _BLOCK))
    leaves = 1 << (blocks - 1).bit_length()
    return Occupancy(
        np.zeros(blocks * _BLOCK, np.int64), np.zeros(2 * leaves, np.int64), np.zeros(2 * leaves, np.int64)
    )


@helper
def _add(top, added, node, amount):  # type: ignore[no-untyped-def]
    top[node] += amount
    added[node] += amount


@helper
def _hand_down(top, added, leaf):  # type: ignore[no-untyped-def]
    """Make a leaf, and the nodes beside its path, stand for themselves."""
    shift = 0
    while leaf >> shift > 1:
        shift += 1
    while shift > 0:
        node = leaf >> shift
        if added[node] != 0:
            _add(top, added, 2 * node, added[node])
            _add(top, added, 2 * node + 1, added[node])
            added[node] = 0
        shift -= 1


@helper
def _look_up(top, added, leaf):  # type: ignore[no-untyped-def]
    """Renew the nodes above a leaf."""
    node = leaf >> 1
    while node >= 1:
        top[node] = max(top[2 * node], top[2 * node + 1]) + added[node]
        node >>= 1


@helper
def _highest(part, begin, end):  # type: ignore[no-untyped-def]
    highest = part[begin]
    for moment in range(begin + 1, end):
        highest = max(highest, part[moment])
    return highest


@helper
def _raise(part, top, added, leaves, begin, end, amount):  # type: ignore[no-untyped-def]
    """Raise moments of one block."""
    for moment in range(begin, end):
        part[moment] += amount
    block = begin // _BLOCK
    leaf = leaves + block
    top[leaf] = _highest(part, block * _BLOCK, (block + 1) * _BLOCK) + added[leaf]
    _look_up(top, added, leaf)


@helper
def _take(part, top, added, begin, end, amount, capacity):  # type: ignore[no-untyped-def]
    """Raise begin .. end-1 by `amount` if that stays within the capacity; return whether it did."""
    leaves = len(top) // 2
    first, last = begin // _BLOCK, (end - 1) // _BLOCK
    room = capacity - amount
    _hand_down(top, added, leaves + first)
    if first == last:
        if _highest(part, begin, end) + added[leaves + first] > room:
            return False
        _raise(part, top, added, leaves, begin, end, amount)
        return True
    _hand_down(top, added, leaves + last)
    if _highest(part, begin, (first + 1) * _BLOCK) + added[leaves + first] > room:
        return False
    if _highest(part, last * _BLOCK, end) + added[leaves + last] > room:
        return False
    # The blocks between the two, as the largest subtrees that cover them; both paths were handed down.
    low, high = leaves + first, leaves + last
    while low ^ high != 1:
        if low & 1 == 0 and top[low ^ 1] > room:
            return False
        if high & 1 == 1 and top[high ^ 1] > room:
            return False
        low >>= 1
        high >>= 1
    low, high = leaves + first, leaves + last
    while low ^ high != 1:
        if low & 1 == 0:
            _add(top, added, low ^ 1, amount)
        if high & 1 == 1:
            _add(top, added, high ^ 1, amount)
        low >>= 1
        high >>= 1
    _raise(part, top, added, leaves, begin, (first + 1) * _BLOCK, amount)
    _raise(part, top, added, leaves, last * _BLOCK, end, amount)
    return True


@kernel(_nrt=False)
def pack(occupancy: Any, begins: Any, ends: Any, amounts: Any, order: Any, capacity: Any, taken: Any) -> None:
    """Take each interval, in the given order, that fits beside those already taken.

    Parameters
    ----------
    occupancy : Occupancy
        Raised where intervals are taken.
    begins, ends : int32[m] or int64[m]
        Moments ``begins[k] .. ends[k] - 1``, at least one.
    amounts : int64[m]
    order : int64[m]
    capacity : int
    taken : bool[m], written
    """
    for k in order:
        taken[k] = _take(occupancy.part, occupancy.top, occupancy.added, begins[k], ends[k], amounts[k], capacity)
