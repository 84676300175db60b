"""Layers: which caches an optimal player may have now, and how often it has missed so far, known online.

The work function of paging with k places, in the form of layers: disjoint sets of objects L_1 .. L_k, and L_0 for all
others. A set of k objects can be the cache of an optimal player just now exactly if, for every j, at most j of them are
in L_1 .. L_j and none is in L_0 (the *support* is L_1 .. L_k). A request for p of layer i moves the layers:

- i = 0: the optimum of the prefix rises by one miss; L_k joins L_{k-1}, and {p} becomes the new L_k;
- i > 0: what is left of L_i without p joins L_{i-1} (the objects of L_1: L_0), and {p} becomes the new L_k.

At the start objects get layers of their own, in the order of their last request, until there are k.

Layers are always stretches of the objects in order of their last request: k *borders* on a line of time say all. A
request for p puts a border in front of p, which stands at the end of the line now, and takes one away: the newest
border, if p was in L_0, or else the border that began p's layer. So a request costs one search for the last border
before a position. When the line is used up, those who stand on it close up (`tidy`); it is twice as long as the support
can be, so that this costs a constant per request.

With a limit on the support (`most`), L_1 is forgotten when the support would grow beyond it: what `advance` is told to
do by `border_to_take`. The count of the optimum is then no longer exact.

Source: Koutsoupias, Papadimitriou, "Beyond competitive analysis", SIAM Journal on Computing 30(1), 2000 (the
layers); Brodal, Moruz, Negoescu, "OnlineMin: a fast strongly competitive randomized paging algorithm", Theory of
Computing Systems 56(1), 2015 (this form of the update, and the limit 3k of Equitable2). Borders on a line of time are
ours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .bitset import Bitset, add, highest_bit, largest, make_bitset, remove
from .contract import helper

__all__ = [
    "FIRST",
    "NEXT",
    "OPTIMUM",
    "Layers",
    "advance",
    "border_to_take",
    "forgets",
    "in_support",
    "is_border",
    "is_used_up",
    "make_layers",
    "request",
    "tidy",
]

FIRST, NEXT, BORDERS, SUPPORT, OPTIMUM = 0, 1, 2, 3, 4
NOBODY = -1

_ONE, _LOW_BITS, _SHIFT, _ALL = np.uint64(1), np.uint64(63), np.uint64(6), np.uint64(2**64 - 1)


class Layers(NamedTuple):
    """A line of time with borders.

    Attributes
    ----------
    at : int32[n_objects]
        Where on the line the object stands: its last request; -1 = nowhere (L_0).
    obj : int32[line]
        By position: who stood there last; there still if its `at` says so.
    borders : Bitset
        Positions at which a layer begins; the object there is always the first of its layer.
    counts : int64[5]
        First border (`FIRST`), next free position (`NEXT`), borders, objects in the support, and misses of the
        optimum so far (`OPTIMUM`).
    limits : int64[2]
        Places of the cache, and the largest support.
    """

    at: Any
    obj: Any
    borders: Bitset
    counts: Any
    limits: Any


def make_layers(n_objects: int, capacity: int, most: int | None = None) -> Layers:
    """Return the layers before the first request.

    Parameters
    ----------
    n_objects : int
    capacity : int
        Places of the cache, k.
    most : int, optional
        The largest support, at least `capacity`; without it, as large as it gets, and `OPTIMUM` is exact.
    """
    most = n_objects if most is None else min(most, n_objects)
    line = 2 * most + 64
    return Layers(
        np.full(n_objects, NOBODY, np.int32),
        np.zeros(line, np.int32),
        make_bitset(line),
        np.zeros(5, np.int64),
        np.array([capacity, max(most, 1)], np.int64),
    )


@helper
def request(layers, obj):
    """Move the layers by a request for `obj`; return whether the optimum of the prefix rose: its own number of misses.

    Without a limit on the support, `layers.counts[OPTIMUM]` is then what Belady's optimum misses on all requests so far.
    """
    rose = not in_support(layers, obj)
    if is_used_up(layers):
        tidy(layers)
    advance(layers, obj, border_to_take(layers, obj))
    return rose


@helper
def in_support(layers, obj):
    """Say whether some optimal player may hold `obj` now; if not, a request for it is a miss of the optimum."""
    return layers.at[obj] >= 0


@helper
def border_to_take(layers, obj):
    """Return the position of the border that a request for `obj` takes away, -1 for none (fewer than k objects so far).

    Ask before `advance`. Where it is the first of all borders, what was in L_1 (but for `obj`) leaves the support.
    """
    if layers.at[obj] >= 0:
        return _last_up_to(layers.borders, layers.at[obj])
    if layers.counts[BORDERS] < layers.limits[0]:
        return np.int64(-1)
    if forgets(layers):
        return np.int64(layers.counts[FIRST])
    return largest(layers.borders)


@helper
def forgets(layers):
    """Say whether L_1 is to be forgotten if an object from outside the support is requested now."""
    return layers.counts[SUPPORT] >= layers.limits[1]


@helper
def advance(layers, obj, border):
    """Move `obj` to the end of the line with a border before it, and take `border` away; the line must not be used up."""
    counts = layers.counts
    if layers.at[obj] < 0:
        counts[OPTIMUM] += 1
        counts[SUPPORT] += 1
    end = counts[NEXT]
    counts[NEXT] = end + 1
    layers.at[obj] = end
    layers.obj[end] = obj
    add(layers.borders, end)
    if border < 0:
        counts[BORDERS] += 1
        return
    remove(layers.borders, border)
    if border == counts[FIRST]:  # up to the next border, everybody falls out of the support
        at = border
        while not is_border(layers, at):
            fallen = layers.obj[at]
            if layers.at[fallen] == at:
                layers.at[fallen] = NOBODY
                counts[SUPPORT] -= 1
            at += 1
        counts[FIRST] = at


@helper
def is_border(layers, at):
    """Say whether a layer begins at this position."""
    return (layers.borders.words[np.uint64(at) >> _SHIFT] >> (np.uint64(at) & _LOW_BITS)) & _ONE != 0


@helper
def is_used_up(layers):
    """Say whether there is no position left on the line."""
    return layers.counts[NEXT] == len(layers.obj)


@helper
def tidy(layers):
    """Let those who stand on the line close up; nothing but positions changes."""
    free = 0
    for at in range(layers.counts[FIRST], layers.counts[NEXT]):
        obj = layers.obj[at]
        if layers.at[obj] == at:
            if free < at and is_border(layers, at):
                remove(layers.borders, at)
                add(layers.borders, free)
            layers.obj[free] = obj
            layers.at[obj] = free
            free += 1
    layers.counts[FIRST] = 0
    layers.counts[NEXT] = free


@helper
def _last_up_to(bits, position):
    """Return the largest member that is not above `position`; there must be one."""
    at = np.uint64(position)
    word = bits.words[at >> _SHIFT] & (_ALL >> (_LOW_BITS - (at & _LOW_BITS)))
    level = 0
    while word == 0:
        at = at >> _SHIFT
        level += 1
        word = bits.words[np.uint64(bits.begins[level]) + (at >> _SHIFT)] & ((_ONE << (at & _LOW_BITS)) - _ONE)
    at = ((at >> _SHIFT) << _SHIFT) | highest_bit(word)
    while level > 0:
        level -= 1
        at = (at << _SHIFT) | highest_bit(bits.words[np.uint64(bits.begins[level]) + at])
    return np.int64(at)
