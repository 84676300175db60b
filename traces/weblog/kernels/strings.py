r"""Texts from offsets: pieces of a line joined with their escapes undone, and columns of few distinct words.

=========  ==================================================================
escape     undone
=========  ==================================================================
default    ``\xHH``, ``\\``, ``\"``
json       those, ``\/``, ``\b``, ``\f``, ``\n``, ``\r``, ``\t``, ``\uXXXX``
none       nothing
=========  ==================================================================

A backslash before anything else stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...jit import kernel

__all__ = ["DEFAULT", "ESCAPE_CODES", "JSON", "NONE", "find_words", "join"]

NONE, DEFAULT, JSON = range(3)
ESCAPE_CODES = {"none": NONE, "default": DEFAULT, "json": JSON}


@kernel()
def _hex(data: Any, at: int, n: int, end: int) -> Any:
    """The number of `n` hexadecimal digits at `at`, or -1."""
    if at + n > end:
        return -1
    number = 0
    for j in range(at, at + n):
        c = data[j]
        if 48 <= c <= 57:
            number = number * 16 + c - 48
        elif 65 <= c <= 70 or 97 <= c <= 102:
            number = number * 16 + (c & 7) + 9
        else:
            return -1
    return number


@kernel()
def _put_utf8(out: Any, k: int, point: int) -> Any:
    """Write a code point (half of a pair included) at `k`; return the position after it."""
    if point < 0x80:
        out[k] = point
        return k + 1
    if point < 0x800:
        out[k], out[k + 1] = 0xC0 | point >> 6, 0x80 | point & 63
        return k + 2
    if point < 0x10000:
        out[k], out[k + 1], out[k + 2] = 0xE0 | point >> 12, 0x80 | (point >> 6) & 63, 0x80 | point & 63
        return k + 3
    out[k], out[k + 1] = 0xF0 | point >> 18, 0x80 | (point >> 12) & 63
    out[k + 2], out[k + 3] = 0x80 | (point >> 6) & 63, 0x80 | point & 63
    return k + 4


@kernel()
def _simple(c: int, escape: int) -> Any:
    """The byte that a backslash and `c` stand for, or -1."""
    if c == 92 or c == 34:
        return c
    if escape == JSON:
        if c == 47:
            return 47
        if c == 110:
            return 10
        if c == 116:
            return 9
        if c == 114:
            return 13
        if c == 98:
            return 8
        if c == 102:
            return 12
    return -1


@kernel()
def _undo(data: Any, at: int, end: int, escape: int, out: Any, k: int) -> Any:
    """Write ``data[at:end]`` without escapes at `k`; return the position after it. Never longer than it was."""
    while at < end:
        c = data[at]
        if c != 92 or at + 1 == end:
            out[k] = c
            k, at = k + 1, at + 1
            continue
        kind = data[at + 1]
        byte = _simple(kind, escape)
        if byte >= 0:
            out[k] = byte
            k, at = k + 1, at + 2
            continue
        if kind == 120:  # x
            byte = _hex(data, at + 2, 2, end)
            if byte >= 0:
                out[k] = byte
                k, at = k + 1, at + 4
                continue
        if kind == 117 and escape == JSON:  # u
            point = _hex(data, at + 2, 4, end)
            if point >= 0:
                at += 6
                if 0xD800 <= point < 0xDC00 and at + 6 <= end and data[at] == 92 and data[at + 1] == 117:
                    low = _hex(data, at + 2, 4, end)
                    if 0xDC00 <= low < 0xE000:
                        point = 0x10000 + ((point - 0xD800) << 10) + low - 0xDC00
                        at += 6
                k = _put_utf8(out, k, point)
                continue
        out[k] = 92
        k, at = k + 1, at + 1
    return k


@kernel()
def join(data: Any, begins: Any, ends: Any, literals: Any, bounds: Any, escape: int, out: Any, offsets: Any) -> None:
    """Write, per line, all its pieces one after the other.

    Parameters
    ----------
    data : uint8[...]
    begins, ends : int64[pieces, n]
        Offsets of the variables.
    literals : uint8[...]
    bounds : int64[pieces + 2]
        Literal p, before variable p (the last one after all), is ``literals[bounds[p]:bounds[p + 1]]``.
    escape : int
        Of `ESCAPE_CODES`.
    out : uint8[...], written
        Long enough for everything as it stands in the log.
    offsets : int64[n + 1], written
        Text i is ``out[offsets[i]:offsets[i + 1]]``.
    """
    k, pieces = 0, len(begins)
    offsets[0] = 0
    for i in range(len(offsets) - 1):
        for p in range(pieces + 1):
            for j in range(bounds[p], bounds[p + 1]):
                out[k] = literals[j]
                k += 1
            if p < pieces:
                if escape == NONE:
                    for at in range(begins[p, i], ends[p, i]):
                        out[k] = data[at]
                        k += 1
                else:
                    k = _undo(data, begins[p, i], ends[p, i], escape, out, k)
        offsets[i + 1] = k


@kernel()
def find_words(data: Any, begins: Any, ends: Any, table: Any, codes: Any, firsts: Any) -> Any:
    """Number the distinct texts of a column by first appearance.

    Parameters
    ----------
    data : uint8[...]
    begins, ends : int64[n]
    table : int32[capacity], zeros; capacity a power of two above n; scratch
    codes : int32[n], written
        -1 where there is no text.
    firsts : int64[n], written
        Line in which each text appears first.

    Returns
    -------
    int
        Number of distinct texts.
    """
    mask, count = np.uint64(len(table) - 1), 0
    for i in range(len(codes)):
        begin, end = begins[i], ends[i]
        if begin == end:
            codes[i] = -1
            continue
        h = np.uint64(0)
        for at in range(begin, end):
            h = (h ^ np.uint64(data[at])) * np.uint64(0x9E3779B97F4A7C15)
        slot = (h >> np.uint64(32)) & mask
        while True:
            held = table[slot] - 1
            if held < 0:
                table[slot] = count + 1
                firsts[count] = i
                codes[i] = count
                count += 1
                break
            first = firsts[held]
            same = ends[first] - begins[first] == end - begin
            j = 0
            while same and j < end - begin:
                same = data[begins[first] + j] == data[begin + j]
                j += 1
            if same:
                codes[i] = held
                break
            slot = (slot + np.uint64(1)) & mask
    return count
