"""An LRU stack and a heap for few objects out of many, in memory that does not grow.

The stack is a Fenwick tree over places, four for each object: a request takes the next place and leaves its old one
empty; when the last place is taken, all move together. The heap holds hashes, the largest on top.

Source of the tree: Fenwick, "A new data structure for cumulative frequency tables", Software: Practice and Experience
24(3), 1994.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...policies.contract import helper

__all__ = ["Heap", "Stack", "empty_heap", "empty_stack", "largest_out", "put", "take_off", "up_to", "weigh_in"]

_PLACES = 4
"""Places per object."""


class Stack(NamedTuple):
    """Objects by last request, bottom to top.

    Attributes
    ----------
    place_of : int32[n_objects]
        Place of each object, from 1; 0 = not on the stack.
    weight_of : int64[n_objects]
        Its weight: 1, or bytes; of no meaning for objects that are not on the stack.
    obj_at : int32[places + 1]
        Object at each place, -1 = none.
    tree : int64[places + 1]
        Sums of weights.
    top : int64[1]
        The highest place taken.
    """

    place_of: Any
    weight_of: Any
    obj_at: Any
    tree: Any
    top: Any


class Heap(NamedTuple):
    """`hashes` uint64[m], largest at 0, and `objs` int32[m], the objects they belong to."""

    hashes: Any
    objs: Any


def empty_stack(n_objects: int, most: int) -> Stack:
    """Return an empty stack for at most `most` objects at a time."""
    places = _PLACES * most + 1
    return Stack(
        np.zeros(n_objects, np.int32),
        np.zeros(n_objects, np.int64),
        np.full(places + 1, -1, np.int32),
        np.zeros(places + 1, np.int64),
        np.zeros(1, np.int64),
    )


def empty_heap(most: int) -> Heap:
    """Return an empty heap for at most `most` objects."""
    return Heap(np.zeros(most + 1, np.uint64), np.zeros(most + 1, np.int32))


@helper
def up_to(stack: Any, obj: Any) -> Any:
    """Weight from the bottom of the stack up to and with an object."""
    at = np.int64(stack.place_of[obj])
    total = np.int64(0)
    while at > 0:
        total += stack.tree[at]
        at &= at - 1
    return total


@helper
def _add(stack: Any, place: Any, change: Any) -> None:
    at = np.int64(place)
    while at < len(stack.tree):
        stack.tree[at] += change
        at += at & -at


@helper
def put(stack: Any, obj: Any, weight: Any) -> None:
    """Put an object that is not there on top; there must be room for it among the `most`."""
    if stack.top[0] + 1 == len(stack.tree):
        _move_together(stack)
    stack.top[0] += 1
    place = stack.top[0]
    stack.place_of[obj] = place
    stack.weight_of[obj] = weight
    stack.obj_at[place] = obj
    _add(stack, place, weight)


@helper
def take_off(stack: Any, obj: Any) -> Any:
    """Take an object off the stack and return its weight."""
    place, weight = stack.place_of[obj], stack.weight_of[obj]
    _add(stack, place, -weight)
    stack.obj_at[place] = -1
    stack.place_of[obj] = 0
    return weight


@helper
def _move_together(stack: Any) -> None:
    """Close the gaps between objects."""
    for place in range(len(stack.tree)):
        stack.tree[place] = 0
    to = 0
    for place in range(1, stack.top[0] + 1):
        obj = stack.obj_at[place]
        if obj >= 0:
            to += 1
            stack.obj_at[place] = -1
            stack.obj_at[to] = obj
            stack.place_of[obj] = to
            _add(stack, to, stack.weight_of[obj])
    stack.top[0] = to


@helper
def weigh_in(heap: Any, n: Any, hashed: Any, obj: Any) -> None:
    """Put an object on the heap of `n`."""
    at = n
    while at > 0 and heap.hashes[(at - 1) >> 1] < hashed:
        above = (at - 1) >> 1
        heap.hashes[at] = heap.hashes[above]
        heap.objs[at] = heap.objs[above]
        at = above
    heap.hashes[at] = hashed
    heap.objs[at] = obj


@helper
def largest_out(heap: Any, n: Any) -> Any:
    """Take the object with the largest hash off the heap and return it; `n` are left."""
    out = heap.objs[0]
    hashed, obj = heap.hashes[n], heap.objs[n]  # the last one looks for a new place, from the top
    at = 0
    child = 1
    while child < n:
        if child + 1 < n and heap.hashes[child + 1] > heap.hashes[child]:
            child += 1
        if heap.hashes[child] <= hashed:
            break
        heap.hashes[at] = heap.hashes[child]
        heap.objs[at] = heap.objs[child]
        at = child
        child = 2 * at + 1
    heap.hashes[at] = hashed
    heap.objs[at] = obj
    return out
