"""Counting in O(1): a chain of lists, one for each count that occurs, lowest first.

A member that is requested moves to the next list of the chain, which is made when it is missing. Within a list the
members stand in the order in which they came to it, so both ends of the lowest list are at hand. For policies that must
also remove members from the middle, by another order over the same slots; who only needs the lowest is faster with
`evictlab.policies.heap`.
Source: Shah, Mitra, Matani, "An O(1) algorithm for implementing the LFU cache eviction scheme", 2010.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper, unsigned
from .shelf import Shelf, bottom, give_back, make_shelf, newest, oldest, push, take, unlink

__all__ = ["Buckets", "count_of", "enter", "leave", "lowest_bucket", "make_buckets", "promote", "second_order"]

_LOWER, _HIGHER = 0, 1


class Buckets(NamedTuple):
    """A shelf with one list per count, and the chain of these lists.

    Attributes
    ----------
    shelf : Shelf
        Slots for m members, and lists 0 .. m. List m is always empty: it closes the chain into a ring.
    bucket_of : uint32[m]
        By slot: the list it is in.
    count : int64[m + 1]
        By list: the count of its members; 0 for list m.
    chain : uint32[2 * (m + 1)]
        By list: its neighbours, with lower and with higher counts, side by side. Unused lists are chained by the first.
    free : uint32[1]
        A list that is unused.
    """

    shelf: Shelf
    bucket_of: Any
    count: Any
    chain: Any
    free: Any


def make_buckets(n_objects: int, most: int) -> Buckets:
    """Return an empty chain for at most `most` members among `n_objects` objects."""
    chain = np.empty(2 * (most + 1), np.uint32)
    chain[_LOWER::2] = np.arange(1, most + 2)
    chain[2 * most :] = most
    return Buckets(
        make_shelf(n_objects, most, most + 1),
        np.empty(most, np.uint32),
        np.zeros(most + 1, np.int64),
        chain,
        np.zeros(1, np.uint32),
    )


def second_order(buckets: Buckets, n_lists: int = 1) -> Shelf:
    """Return a shelf with lists of its own over the same slots; `enter` and `leave` of the buckets serve both."""
    members = buckets.shelf
    own = make_shelf(0, len(members.obj_of), n_lists)
    return Shelf(members.slot_of, members.obj_of, own.links, members.free)


@helper
def enter(buckets, obj, count):
    """Add `obj` (not a member; there must be room) with this count, 1 or more, and return its slot."""
    slot = take(buckets.shelf, obj)
    below = unsigned(len(buckets.bucket_of))
    bucket = buckets.chain[2 * below + _HIGHER]
    while buckets.count[bucket] != 0 and buckets.count[bucket] < count:
        below = bucket
        bucket = buckets.chain[2 * bucket + _HIGHER]
    if buckets.count[bucket] != count:
        bucket = _open(buckets, below, count)
    buckets.bucket_of[slot] = bucket
    push(buckets.shelf, bucket, slot)
    return slot


@helper
def promote(buckets, slot):
    """Count one more request of a member."""
    bucket = buckets.bucket_of[slot]
    count = buckets.count[bucket] + 1
    higher = buckets.chain[2 * bucket + _HIGHER]
    alone = bottom(buckets.shelf, bucket) == newest(buckets.shelf, bucket)
    joins = buckets.count[higher] == count
    if alone and not joins:  # most hits of the most requested: nobody has to move
        buckets.count[bucket] = count
        return
    unlink(buckets.shelf, slot)
    if not joins:
        bucket = _open(buckets, bucket, count)
    else:
        if alone:
            _close(buckets, bucket)
        bucket = higher
    buckets.bucket_of[slot] = bucket
    push(buckets.shelf, bucket, slot)


@helper
def lowest_bucket(buckets):
    """Return the list of the members with the lowest count (there must be one)."""
    return buckets.chain[2 * len(buckets.bucket_of) + _HIGHER]


@helper
def count_of(buckets, slot):
    """Return the count of a member."""
    return buckets.count[buckets.bucket_of[slot]]


@helper
def leave(buckets, slot):
    """Remove a member and return its object."""
    bucket = buckets.bucket_of[slot]
    unlink(buckets.shelf, slot)
    if oldest(buckets.shelf, bucket) < 0:
        _close(buckets, bucket)
    return give_back(buckets.shelf, slot)


@helper
def _open(buckets, below, count):
    """Take an unused list for this count and chain it above `below`."""
    bucket = buckets.free[0]
    buckets.free[0] = buckets.chain[2 * bucket + _LOWER]
    above = buckets.chain[2 * below + _HIGHER]
    buckets.count[bucket] = count
    buckets.chain[2 * bucket + _LOWER] = below
    buckets.chain[2 * bucket + _HIGHER] = above
    buckets.chain[2 * below + _HIGHER] = bucket
    buckets.chain[2 * above + _LOWER] = bucket
    return bucket


@helper
def _close(buckets, bucket):
    """Take an empty list out of the chain."""
    lower = buckets.chain[2 * bucket + _LOWER]
    higher = buckets.chain[2 * bucket + _HIGHER]
    buckets.chain[2 * lower + _HIGHER] = higher
    buckets.chain[2 * higher + _LOWER] = lower
    buckets.chain[2 * bucket + _LOWER] = buckets.free[0]
    buckets.free[0] = bucket
