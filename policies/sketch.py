"""A count-min sketch: how often was an object requested lately, in half a byte per counter.

Four rows of 4-bit counters. An object has one counter in each row, and its estimate is the least of the four: others that
share a counter can only raise it. Counting is conservative: only counters that equal the estimate grow. After ten
additions per object that the cache holds, all counters are halved, so that old fame fades.

The four counters of an object lie in one block of 64 bytes, two words to a row: one line of the processor's cache.

What is hashed is the dense object number, with a seed: the same seed gives the same collisions, and renaming the objects
gives other ones.

Source: Cormode, Muthukrishnan, "An improved data stream summary: the count-min sketch and its applications", Journal of
Algorithms 55(1), 2005; conservative update: Estan, Varghese, "New directions in traffic measurement and accounting",
SIGCOMM 2002 (there for multistage filters); halving: Einziger, Friedman, Manes, "TinyLFU", ACM Transactions
on Storage 13(4), 2017, section 3.3; blocks of one cache line: as in Caffeine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .contract import helper
from .setting import Setting

__all__ = ["MOST", "Sketch", "add", "estimate", "expected_residents", "make_sketch", "place"]

MOST = 15
"""No counter grows beyond this."""

_WORDS_PER_BLOCK = 8
_ADDITIONS, _PERIOD, _SEED = 0, 1, 2
_ONE, _COUNTER, _HALVES = (np.uint64(bits) for bits in (1, 0xF, 0x7777_7777_7777_7777))
_LOW32 = 0xFFFFFFFF


class Sketch(NamedTuple):
    """Counters and what is needed to find and halve them.

    Attributes
    ----------
    words : uint64[8 * blocks]
        Sixteen counters each; `blocks` is a power of two. Row r of a block is its words 2r and 2r+1.
    numbers : int64[3]
        Additions since the last halving (halved with it), additions that bring the next one, and the hash's seed.
    """

    words: Any
    numbers: Any


def expected_residents(setting: Setting) -> int:
    """How many objects the cache will hold: its capacity, by the mean size of the requests when sizes are on."""
    if setting.stored is None:
        expected = setting.capacity
    elif setting.request_sizes is None or len(setting.request_sizes) == 0:
        expected = setting.n_objects
    else:
        expected = int(setting.capacity / float(np.mean(setting.request_sizes)))
    return max(1, min(expected, setting.n_objects))


def make_sketch(setting: Setting, sample: int = 10) -> Sketch:
    """Return a sketch of zeros with sixteen counters for each object that the cache will hold.

    Parameters
    ----------
    setting : Setting
    sample : int
        Additions per resident object between two halvings.
    """
    residents = expected_residents(setting)
    n_words = max(_WORDS_PER_BLOCK, 1 << (residents - 1).bit_length())
    room = np.zeros(n_words + _WORDS_PER_BLOCK - 1, np.uint64)
    ahead = -(room.ctypes.data // 8) % _WORDS_PER_BLOCK  # so that a block is one cache line and not two
    seed = int(setting.random_state()[0]) & _LOW32
    return Sketch(room[ahead : ahead + n_words], np.array([0, sample * residents, seed], np.int64))


@helper
def _scramble(x):
    """Mix 32 bits; constants below 2**31 keep int64 from overflowing, which numpy would complain about."""
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    return x ^ (x >> 16)


@helper
def _hashes(sketch, obj):
    """Return where the object's block begins, and 32 bits that choose counters in it."""
    block_hash = _scramble(np.int64(obj) ^ sketch.numbers[_SEED])
    blocks = len(sketch.words) >> 3
    return (block_hash & (blocks - 1)) << 3, _scramble(block_hash ^ 0x5BD1E995)


@helper
def _word(block, bits, row):
    return block + 2 * row + ((bits >> (8 * row)) & 1)


@helper
def _shift(bits, row):
    return np.uint64(((bits >> (8 * row)) & 0x1E) << 1)


def place(sketch: Sketch, obj: int, row: int) -> tuple[int, int]:
    """Return which word, and which bit of it, begins the object's counter in `row` (0 .. 3)."""
    block, bits = _hashes(sketch, obj)
    return int(_word(block, bits, row)), int(_shift(bits, row))


@helper
def estimate(sketch, obj):
    """Return how often `obj` was added lately, 0 .. `MOST`; too high at times, too low only by halving."""
    block, bits = _hashes(sketch, obj)
    words = sketch.words
    a = (words[_word(block, bits, 0)] >> _shift(bits, 0)) & _COUNTER
    b = (words[_word(block, bits, 1)] >> _shift(bits, 1)) & _COUNTER
    c = (words[_word(block, bits, 2)] >> _shift(bits, 2)) & _COUNTER
    d = (words[_word(block, bits, 3)] >> _shift(bits, 3)) & _COUNTER
    return np.int64(min(min(a, b), min(c, d)))


@helper
def add(sketch, obj):
    """Count one request of `obj`."""
    block, bits = _hashes(sketch, obj)
    words = sketch.words
    i, j, k, m = _word(block, bits, 0), _word(block, bits, 1), _word(block, bits, 2), _word(block, bits, 3)
    p, q, r, s = _shift(bits, 0), _shift(bits, 1), _shift(bits, 2), _shift(bits, 3)
    a, b, c, d = (
        (words[i] >> p) & _COUNTER,
        (words[j] >> q) & _COUNTER,
        (words[k] >> r) & _COUNTER,
        (words[m] >> s) & _COUNTER,
    )
    least = min(min(a, b), min(c, d))
    # Whether an object's counters are full cannot be foretold, so it is counted in and not branched upon.
    grows = least != _COUNTER
    words[i] += np.uint64((a == least) & grows) << p
    words[j] += np.uint64((b == least) & grows) << q
    words[k] += np.uint64((c == least) & grows) << r
    words[m] += np.uint64((d == least) & grows) << s
    sketch.numbers[_ADDITIONS] += grows
    if sketch.numbers[_ADDITIONS] >= sketch.numbers[_PERIOD]:
        _halve(sketch)


@helper
def _halve(sketch):
    for at in range(len(sketch.words)):
        sketch.words[at] = (sketch.words[at] >> _ONE) & _HALVES
    sketch.numbers[_ADDITIONS] //= 2
