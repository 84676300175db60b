r"""Lines that are flat JSON objects, whatever the order of their keys; no copy is made of any value.

Unknown keys are skipped, nested values too, and of a key that occurs twice the last counts.
More is taken than JSON allows, because NGINX writes it: a number that is ``-``, that is missing,
or a list such as ``0.001, 0.004 : 0.002`` (variables without quotes in the template), and
any byte after a backslash (``\x22`` without ``escape=json``).

Source: RFC 8259.
"""

from __future__ import annotations

from typing import Any

from ...jit import kernel
from . import search, verdicts
from .search import either
from .verdicts import FITS, blame, judge

__all__ = ["scan_json"]


@kernel()
def _blanks(data: Any, at: int, stop: int) -> Any:
    """Position of the first byte that is no blank."""
    while at < stop and (data[at] == 32 or data[at] == 9 or data[at] == 13):
        at += 1
    return at


@kernel(made_of=[search])
def _string_end(data: Any, at: int, stop: int) -> Any:
    """Position of the quote that ends the string whose first byte is at `at`, or -1."""
    while True:
        at = either(data, at, stop, 34, 92)
        if at >= stop:
            return -1
        if data[at] == 34:
            return at
        at += 2


@kernel(made_of=[search])
def _nested_end(data: Any, at: int, stop: int) -> Any:
    """Position after the object or array that begins at `at`, or -1."""
    depth = 0
    while at < stop:
        c = data[at]
        if c == 34:
            at = _string_end(data, at + 1, stop)
            if at < 0:
                return -1
        elif c == 123 or c == 91:
            depth += 1
        elif c == 125 or c == 93:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return -1


@kernel()
def _bare_end(data: Any, at: int, stop: int) -> Any:
    """Position after true, false, null or what stands for a number (lists and nothing at all included)."""
    while at < stop:
        c = data[at]
        if c == 44:
            after = _blanks(data, at + 1, stop)
            if after < stop and data[after] == 34:
                return at
        elif c == 34 or c == 125 or c == 123 or c == 91 or c == 93:
            return at
        at += 1
    return at


_WORDS = (b"true", b"false", b"null")


@kernel()
def _is_bare(data: Any, begin: int, end: int) -> Any:
    """Whether a value without quotes is a word of JSON, or looks like numbers."""
    if end > begin and data[end - 1] == 44:
        return False
    for word in _WORDS:
        if end - begin == len(word):
            same = True
            for j in range(len(word)):
                same = same and data[begin + j] == word[j]
            if same:
                return True
    for at in range(begin, end):
        c = data[at]
        # digits + , - . : blanks e E
        if not (48 <= c <= 58 or 43 <= c <= 46 or c == 32 or c == 9 or c == 101 or c == 69):
            return False
    return True


@kernel()
def _which(data: Any, begin: int, end: int, names: Any, bounds: Any, guess: int) -> Any:
    """Number of the key ``data[begin:end]``, or -1; keys usually come in order, so `guess` is tried first."""
    n = len(bounds) - 1
    for step in range(n):
        k = guess + step
        if k >= n:
            k -= n
        if bounds[k + 1] - bounds[k] == end - begin:
            same = True
            for j in range(end - begin):
                if data[begin + j] != names[bounds[k] + j]:
                    same = False
                    break
            if same:
                return k
    return -1


@kernel(made_of=[search])
def _cut_object(data: Any, at: int, stop: int, names: Any, bounds: Any, begins: Any, ends: Any, n: int) -> Any:
    """Write the offsets of the wanted values of one object to column `n`; False if it is none."""
    for k in range(len(begins)):
        begins[k, n], ends[k, n] = at, at
    at = _blanks(data, at, stop)
    if at >= stop or data[at] != 123:
        return False
    at = _blanks(data, at + 1, stop)
    if at < stop and data[at] == 125:
        return _blanks(data, at + 1, stop) == stop
    guess = 0
    while True:
        if at >= stop or data[at] != 34:
            return False
        end = _string_end(data, at + 1, stop)
        if end < 0:
            return False
        key = _which(data, at + 1, end, names, bounds, guess)
        at = _blanks(data, end + 1, stop)
        if at >= stop or data[at] != 58:
            return False
        at = _blanks(data, at + 1, stop)
        if at >= stop:
            return False
        begin = end = at
        if data[at] == 34:
            begin = at + 1
            end = _string_end(data, begin, stop)
            at = end + 1
            if end < 0:
                return False
        elif data[at] == 123 or data[at] == 91:
            at = _nested_end(data, at, stop)
            if at < 0:
                return False
        else:
            at = end = _bare_end(data, at, stop)
            while end > begin and (data[end - 1] == 32 or data[end - 1] == 9):
                end -= 1
            if not _is_bare(data, begin, end):
                return False
            if end - begin == 4 and data[begin] == 110:  # null
                end = begin
        if key >= 0:
            begins[key, n], ends[key, n] = begin, end
            guess = key + 1 if key + 1 < len(begins) else 0
        at = _blanks(data, at, stop)
        if at >= stop:
            return False
        if data[at] == 125:
            return _blanks(data, at + 1, stop) == stop
        if data[at] != 44:
            return False
        at = _blanks(data, at + 1, stop)


@kernel(made_of=[search, verdicts])
def scan_json(
    data: Any, starts: Any, stops: Any, names: Any, bounds: Any, verdicts: Any, begins: Any, ends: Any
) -> Any:
    """Find the values of wanted keys in all lines of a block.

    Parameters
    ----------
    data : uint8[...]
    starts, stops : int64[m]
        Line i is ``data[starts[i]:stops[i]]``.
    names : uint8[...]
    bounds : int64[keys + 1]
        Key k is ``names[bounds[k]:bounds[k + 1]]``, as it is spelt in the log.
    verdicts : uint8[m], written
        As of `text.scan_text`.
    begins, ends : int64[keys, m], written
        Offsets of the values, strings without their quotes; equal for what is missing, null or nested.

    Returns
    -------
    int
        Number of lines that are objects.
    """
    n = 0
    for i in range(len(starts)):
        verdict = judge(data, starts[i], stops[i])
        if verdict == FITS:
            if _cut_object(data, starts[i], stops[i], names, bounds, begins, ends, n):
                n += 1
            else:
                verdict = blame(data, starts[i], stops[i])
        verdicts[i] = verdict
    return n
