"""The loops of numbering: two hash tables that hand out 0, 1, 2, ... by first appearance.

Both are open addressing with linear probing in one array of 16-byte slots
``(key or hash, id + 1)``, at most half full; 0 in the second place means
empty, so that every key is allowed. Each kernel stops where it runs out of
room and says how far it came; the caller makes room and calls again.

Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from . import mix
from .jit import OPTIONS, kernel

__all__ = ["hash_strings", "number_keys", "number_strings", "rehash"]

_mix = numba.njit(**OPTIONS)(mix.mix64)
_ONE, _EIGHT = np.uint64(1), np.uint64(8)


@kernel(made_of=[mix])
def number_keys(keys: Any, start: int, ids: Any, table: Any, names: Any, count: int) -> Any:
    """Number ``keys[start:]`` into ``ids[start:]`` until `names` is full.

    Parameters
    ----------
    keys : uint64[m]
    start : int
    ids : int32[m], written
    table : uint64[capacity, 2], capacity a power of two, updated
    names : uint64[capacity / 2], the key of each id, updated
    count : int
        Ids handed out so far.

    Returns
    -------
    (int, int)
        Where it stopped (m when done) and the new count.
    """
    mask = np.uint64(len(table) - 1)
    for i in range(start, len(keys)):
        key = keys[i]
        slot = _mix(key) & mask
        while True:
            held = table[slot, 1]
            if held == 0:
                if count == len(names):
                    return i, count
                names[count] = key
                ids[i] = count
                count += 1
                table[slot, 0] = key
                table[slot, 1] = count
                break
            if table[slot, 0] == key:
                ids[i] = np.int64(held) - 1
                break
            slot = (slot + _ONE) & mask
    return len(keys), count


@kernel(made_of=[mix])
def rehash(names: Any, count: int, table: Any, mixed: bool) -> None:
    """Enter ids ``0 .. count - 1`` into an empty `table`; `names` are hashes already if `mixed`."""
    mask = np.uint64(len(table) - 1)
    for i in range(count):
        slot = (names[i] if mixed else _mix(names[i])) & mask
        while table[slot, 1] != 0:
            slot = (slot + _ONE) & mask
        table[slot, 0] = names[i]
        table[slot, 1] = i + 1


@numba.njit(**OPTIONS)
def _word(data: Any, start: Any, n: Any) -> Any:
    """``data[start:start + n]`` as a little-endian integer; n <= 8. Compiles to one load when n is 8."""
    word = np.uint64(0)
    for j in range(n):
        word |= np.uint64(data[start + np.uint64(j)]) << np.uint64(8 * j)
    return word


@numba.njit(**OPTIONS)
def _hash_bytes(data: Any, start: int, stop: int) -> Any:
    """64 bits from ``data[start:stop]``: eight bytes a step, each step mixed; the length counts too."""
    h = _mix(np.uint64(stop - start) + _ONE)
    at = np.uint64(start)
    while at + _EIGHT <= np.uint64(stop):
        h = _mix(h ^ _word(data, at, 8))
        at += _EIGHT
    return _mix(h ^ _word(data, at, np.uint64(stop) - at))


@numba.njit(**OPTIONS)
def _same_bytes(a: Any, start_a: int, b: Any, start_b: int, length: int) -> Any:
    """Whether ``a[start_a:start_a + length]`` equals ``b[start_b:start_b + length]``."""
    at_a, at_b, left = np.uint64(start_a), np.uint64(start_b), np.uint64(length)
    while left >= _EIGHT:
        if _word(a, at_a, 8) != _word(b, at_b, 8):
            return False
        at_a, at_b, left = at_a + _EIGHT, at_b + _EIGHT, left - _EIGHT
    return _word(a, at_a, left) == _word(b, at_b, left)


@kernel(made_of=[mix])
def hash_strings(offsets: Any, data: Any, hashes: Any) -> None:
    """``hashes[i]`` = 64 bits of string i, the bytes ``data[offsets[i]:offsets[i + 1]]``."""
    for i in range(len(hashes)):
        hashes[i] = _hash_bytes(data, offsets[i], offsets[i + 1])


@kernel(made_of=[mix])
def number_strings(
    offsets: Any, data: Any, start: int, ids: Any, table: Any, names: Any, ends: Any, arena: Any, count: int
) -> Any:
    """Number the strings of a batch from `start` on, until `names` or `arena` is full.

    Two strings are the same when their bytes are; the hash only finds the candidate.

    Parameters
    ----------
    offsets : int32[m + 1] or int64[m + 1]
        String i is ``data[offsets[i]:offsets[i + 1]]``.
    data : uint8[...]
    start : int
    ids : int32[m], written
    table : uint64[capacity, 2], updated
    names : uint64[capacity / 2], the hash of each id, updated
    ends : int64[capacity / 2 + 1]
        ``arena[ends[k]:ends[k + 1]]`` is the string of id k, updated.
    arena : uint8[...], updated
    count : int

    Returns
    -------
    (int, int)
        Where it stopped (m when done) and the new count.
    """
    mask = np.uint64(len(table) - 1)
    for i in range(start, len(ids)):
        begin, length = offsets[i], offsets[i + 1] - offsets[i]
        h = _hash_bytes(data, begin, begin + length)
        slot = h & mask
        while True:
            held = np.int64(table[slot, 1])
            if held == 0:
                free = ends[count]
                if count == len(names) or free + length > len(arena):
                    return i, count
                for j in range(length):
                    arena[free + j] = data[begin + j]
                names[count] = h
                ids[i] = count
                count += 1
                ends[count] = free + length
                table[slot, 0] = h
                table[slot, 1] = count
                break
            if table[slot, 0] == h:
                other = ends[held - 1]
                if ends[held] - other == length and _same_bytes(arena, other, data, begin, length):
                    ids[i] = held - 1
                    break
            slot = (slot + _ONE) & mask
    return len(ids), count
