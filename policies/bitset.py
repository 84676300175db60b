"""A set of positions that knows its largest member: bits, and above them bits that say which words are not empty.

Level 0 has one bit per position, level 1 one bit per word of level 0, and so on up to a single word: at most six levels
for 2**36 positions. Adding, removing and finding the largest each touch one word per level at the most, and where members
lie near each other most often one word in all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from .contract import KERNEL_OPTIONS, helper

__all__ = ["Bitset", "add", "highest_bit", "largest", "make_bitset", "remove"]

_ONE, _LOW_BITS, _SHIFT = np.uint64(1), np.uint64(63), np.uint64(6)


class Bitset(NamedTuple):
    """Levels of 64-bit words, one after the other.

    Attributes
    ----------
    words : uint64[sum of the levels]
    begins : int64[levels + 1]
        Where each level begins in `words`; level 0 first, the last entry is the end.
    """

    words: Any
    begins: Any


def make_bitset(n_positions: int) -> Bitset:
    """Return an empty set of positions 0 .. n_positions-1."""
    sizes = [max(1, -(-n_positions // 64))]
    while sizes[-1] > 1:
        sizes.append(-(-sizes[-1] // 64))
    return Bitset(np.zeros(sum(sizes), np.uint64), np.cumsum([0, *sizes]).astype(np.int64))


@helper
def add(bits, position):
    """Add a position (it may be a member already)."""
    at = np.uint64(position)
    for level in range(len(bits.begins) - 1):
        place = np.uint64(bits.begins[level]) + (at >> _SHIFT)
        word = bits.words[place]
        bits.words[place] = word | (_ONE << (at & _LOW_BITS))
        if word != 0:
            return
        at = at >> _SHIFT


@helper
def remove(bits, position):
    """Remove a member."""
    at = np.uint64(position)
    for level in range(len(bits.begins) - 1):
        place = np.uint64(bits.begins[level]) + (at >> _SHIFT)
        word = bits.words[place] & ~(_ONE << (at & _LOW_BITS))
        bits.words[place] = word
        if word != 0:
            return
        at = at >> _SHIFT


@helper
def largest(bits):
    """Return the largest member, or -1 when there is none."""
    level = len(bits.begins) - 2
    if bits.words[bits.begins[level]] == 0:
        return np.int64(-1)
    at = np.uint64(0)
    while level >= 0:
        word = bits.words[np.uint64(bits.begins[level]) + at]
        at = (at << _SHIFT) | highest_bit(word)
        level -= 1
    return np.int64(at)


def highest_bit(word):
    """Return the number of the highest bit that is set in a uint64 other than 0, as a uint64."""
    return np.uint64(int(word).bit_length() - 1)


@intrinsic
def _leading_zeros(typing_context, word):
    def generate(context, builder, signature, arguments):
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, True))

    return types.uint64(types.uint64), generate


@overload(highest_bit, jit_options=KERNEL_OPTIONS)
def _highest_bit(word):
    return lambda word: _LOW_BITS ^ _leading_zeros(word)
