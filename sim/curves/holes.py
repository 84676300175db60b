"""How many marks stand before a position? Asked and changed in one walk, in about ten words of memory.

A stack distance is the number of marks behind the object's last request, where each object's mark stands at its latest
request and leaves a hole when it moves on (Bennett, Kruskal, "LRU stack processing", IBM Journal of Research and
Development 19(4), 1975). Counting holes instead of marks has two gains: positions ahead need no preparation, and the
position that is asked about is the one that becomes a hole next, so that one walk does both.

The walk: a bit per position in words of 64; above them levels of words that hold, for each child, the holes of the
children left of it, packed in lanes: 8 children of 9 bits, then 4 of 21 bits, then 2 of 63 bits. The first child has
nothing left of it and needs no lane, which is why 8 x 9 bits fit in 64. Marking adds 1 to all lanes right of the child
in one addition; no branch depends on the data.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...policies.contract import helper

__all__ = ["Holes", "count_before", "mark", "mark_and_count_before", "no_holes"]

_ONE = np.uint64(1)
_63 = np.uint64(63)
_6, _3, _2 = np.uint64(6), np.uint64(3), np.uint64(2)

_LANE9, _LANE21 = np.uint64(9), np.uint64(21)
_MASK9, _MASK21 = np.uint64(511), np.uint64((1 << 21) - 1)
_ALL9 = np.uint64(sum(1 << (63 - 9 * child) for child in range(1, 8)))
_ALL21 = np.uint64(sum(1 << (63 - 21 * child) for child in range(1, 4)))

_FOURS = 6
"""Levels of four children: 512 positions times 4^6 = 2^21; a lane of 21 bits then holds at most 3/4 of that."""

_M1, _M2 = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
_M4, _H01 = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
_4, _56 = np.uint64(4), np.uint64(56)


class Holes(NamedTuple):
    """Holes among positions 0 .. n-1; about 0.15 bytes a position.

    Attributes
    ----------
    bits : uint64[n / 64 + 1]
        Bit ``p % 64`` of word ``p // 64`` is set where position p is a hole.
    eights : uint64[n / 512 + 1]
        Seven lanes of 9 bits: holes in the words left of each word, within its group of eight.
    upper : uint64[...]
        All levels above, one after another.
    begins : uint64[levels]
        Where each level of `upper` begins; `_FOURS` levels of four children, the rest of two.
    """

    bits: Any
    eights: Any
    upper: Any
    begins: Any


def no_holes(n: int) -> Holes:
    """Return room for holes among `n` positions, none of them marked."""
    counts: list[int] = []
    shift = 9
    while len(counts) < _FOURS or n >> shift > 0:
        shift += 2 if len(counts) < _FOURS else 1
        counts.append((n >> shift) + 1)
    begins = np.cumsum([0, *counts[:-1]]).astype(np.uint64)
    words, groups = (n >> 6) + 1, (n >> 9) + 1
    return Holes(np.zeros(words, np.uint64), np.zeros(groups, np.uint64), np.zeros(sum(counts), np.uint64), begins)


@helper
def _ones(x: Any) -> Any:
    """Number of set bits; in this form LLVM recognises the processor's instruction for it."""
    x = x - ((x >> _ONE) & _M1)
    x = (x & _M2) + ((x >> _2) & _M2)
    return (((x + (x >> _4)) & _M4) * _H01) >> _56


@helper
def mark_and_count_before(holes: Any, position: Any) -> Any:
    """Make `position` a hole (it must be none yet) and return how many there are before it, as int64."""
    at = np.uint64(position)
    word = at >> _6
    bit = _ONE << (at & _63)
    bits = holes.bits[word]
    count = _ones(bits & (bit - _ONE))
    holes.bits[word] = bits | bit

    # In each level: lane of child k is at bit 63 - k * width, so that child 0 reads the top bit, which stays 0,
    # and the lanes of later children are all bits below.
    shift = _63 - _LANE9 * (word & np.uint64(7))
    node = word >> _3
    lanes = holes.eights[node]
    count += (lanes >> shift) & _MASK9
    holes.eights[node] = lanes + (_ALL9 & ((_ONE << shift) - _ONE))
    for level in range(_FOURS):
        shift = _63 - _LANE21 * (node & _3)
        node >>= _2
        place = holes.begins[level] + node
        lanes = holes.upper[place]
        count += (lanes >> shift) & _MASK21
        holes.upper[place] = lanes + (_ALL21 & ((_ONE << shift) - _ONE))
    for level in range(_FOURS, len(holes.begins)):
        right = node & _ONE
        node >>= _ONE
        place = holes.begins[level] + node
        left = holes.upper[place]
        count += left * right
        holes.upper[place] = left + (_ONE - right)
    return np.int64(count)


@helper
def mark(holes: Any, position: Any) -> None:
    """Make `position` a hole; it must be none yet."""
    mark_and_count_before(holes, position)


@helper
def count_before(holes: Any, position: Any) -> Any:
    """Return how many holes there are before `position`, as int64."""
    at = np.uint64(position)
    word = at >> _6
    count = _ones(holes.bits[word] & ((_ONE << (at & _63)) - _ONE))
    node = word >> _3
    count += (holes.eights[node] >> (_63 - _LANE9 * (word & np.uint64(7)))) & _MASK9
    for level in range(_FOURS):
        shift = _63 - _LANE21 * (node & _3)
        node >>= _2
        count += (holes.upper[holes.begins[level] + node] >> shift) & _MASK21
    for level in range(_FOURS, len(holes.begins)):
        right = node & _ONE
        node >>= _ONE
        count += holes.upper[holes.begins[level] + node] * right
    return np.int64(count)
