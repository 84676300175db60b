"""Lines of text, cut into variables at the literals of their format.

A variable ends where the literal after it begins for the first time. Between double quotes a
backslash takes the next byte with it, so that an escaped quote ends nothing; the last variable of
a line reaches to the literal that ends the line. Where that does not fit (a quote that was written
as it is), the line is cut again from its right end, as far as the first variable in quotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...jit import kernel
from ..log_format import Part
from ..variables import NUMBERS, WIDTHS
from . import search, verdicts
from .search import either
from .verdicts import BAD, FITS, MENDED, blame, judge

__all__ = ["Code", "cut_values", "encode", "scan_text"]

_TO_SLASH = 0
"""In `Code.widths`, beside positive widths and -1 (digits, a dot, three digits): ends before the first ``/``."""


class Code(NamedTuple):
    """A format as arrays, for kernels; variables 0 .. n - 1, literals 0 .. n (around them, some empty)."""

    literals: npt.NDArray[np.uint8]
    bounds: npt.NDArray[np.int64]  # [n + 2]: literal i is literals[bounds[i]:bounds[i + 1]]
    quoted: npt.NDArray[np.bool_]  # [n]: a backslash takes the next byte with it
    numeric: npt.NDArray[np.bool_]  # [n]
    widths: npt.NDArray[np.int64]  # [n]: where a variable ends that no literal follows
    first_quoted: int  # or -1


def encode(parts: Sequence[Part], escape: str) -> Code:
    """Return a format whose neighbouring variables can be told apart (`parse_log_format` sees to that) as arrays."""
    literals, names, quoted = [b""], [], []
    for part in parts:
        if part.is_variable:
            names.append(part.text)
            quoted.append(literals[-1].endswith(b'"'))
            literals.append(b"")
        else:
            literals[-1] = part.text.encode()
    between = [is_open and after.startswith(b'"') for is_open, after in zip(quoted, literals[1:], strict=True)]
    return Code(
        np.frombuffer(b"".join(literals), np.uint8),
        np.cumsum([0, *map(len, literals)]),
        np.array([inside and escape != "none" for inside in between], np.bool_),
        np.array([name in NUMBERS for name in names], np.bool_),
        np.array([WIDTHS.get(name, _TO_SLASH) for name in names], np.int64),
        between.index(True) if any(between) else -1,
    )


@kernel()
def _stands_at(data: Any, at: int, stop: int, text: Any, begin: int, end: int) -> Any:
    """Whether ``text[begin:end]`` stands at ``data[at]``, before `stop`."""
    if at + end - begin > stop:
        return False
    for j in range(end - begin):  # noqa: SIM110 - a kernel
        if data[at + j] != text[begin + j]:
            return False
    return True


@kernel(made_of=[search])
def _find(data: Any, at: int, stop: int, text: Any, begin: int, end: int, escapes: bool) -> Any:
    """Position of the first ``text[begin:end]`` in ``data[at:stop]``, or -1."""
    first, last = text[begin], stop - (end - begin)
    other = 92 if escapes else first
    while True:
        at = either(data, at, last + 1, first, other)
        if at > last:
            return -1
        if data[at] == first and _stands_at(data, at, stop, text, begin, end):
            return at
        at += 2 if escapes and data[at] == 92 else 1


@kernel()
def _find_last(data: Any, start: int, stop: int, text: Any, begin: int, end: int) -> Any:
    """Position of the last ``text[begin:end]`` in ``data[start:stop]``, or -1."""
    for at in range(stop - (end - begin), start - 1, -1):
        if _stands_at(data, at, stop, text, begin, end):
            return at
    return -1


@kernel()
def _end_by_shape(data: Any, at: int, stop: int, width: int) -> Any:
    """Where a value ends that no literal follows, or -1."""
    if width > 0:
        return at + width if at + width <= stop else -1
    if width == 0:
        while at < stop and data[at] != 47 and data[at] != 32 and data[at] != 34:
            at += 1
        return at
    while at < stop and 48 <= data[at] <= 57:
        at += 1
    return at + 4 if at + 4 <= stop and data[at] == 46 else -1


@kernel()
def _is_number(data: Any, begin: int, end: int) -> Any:
    for at in range(begin, end):  # noqa: SIM110 - a kernel
        if not (48 <= data[at] <= 57 or data[at] == 45 or data[at] == 46):
            return False
    return True


@kernel(made_of=[search])
def _cut(data: Any, start: int, stop: int, code: Any, upto: int, begins: Any, ends: Any, n: int) -> Any:
    """Cut variables 0 .. `upto` - 1 from the left; return where the next one begins, or -1."""
    bounds, text = code.bounds, code.literals
    last = len(bounds) - 3
    if not _stands_at(data, start, stop, text, 0, bounds[1]):
        return -1
    at = start + bounds[1]
    for v in range(upto):
        low, high = bounds[v + 1], bounds[v + 2]
        if v == last:
            end = stop - (high - low)
            if end < at or not _stands_at(data, end, stop, text, low, high):
                return -1
        elif high > low:
            end = _find(data, at, stop, text, low, high, code.quoted[v])
        else:
            end = _end_by_shape(data, at, stop, code.widths[v])
        if end < 0 or (code.numeric[v] and not _is_number(data, at, end)):
            return -1
        begins[v, n], ends[v, n] = at, end
        at = end + high - low
    return at


@kernel(made_of=[search])
def _cut_from_right(data: Any, start: int, stop: int, code: Any, begins: Any, ends: Any, n: int) -> Any:
    """Cut from both ends; what is left over is the first variable in quotes."""
    bounds, text, first = code.bounds, code.literals, code.first_quoted
    if first < 0:
        return False
    at = _cut(data, start, stop, code, first, begins, ends, n)
    last = len(bounds) - 3
    end = stop - (bounds[last + 2] - bounds[last + 1])
    if at < 0 or end < at or not _stands_at(data, end, stop, text, bounds[last + 1], bounds[last + 2]):
        return False
    for v in range(last, first, -1):
        low, high = bounds[v], bounds[v + 1]
        found = _find_last(data, at, end, text, low, high) if high > low else -1
        if found < 0:
            return False
        begin = found + high - low
        if code.numeric[v] and not _is_number(data, begin, end):
            return False
        begins[v, n], ends[v, n] = begin, end
        end = found
    begins[first, n], ends[first, n] = at, end
    return True


@kernel(made_of=[search, verdicts])
def cut_line(data: Any, start: int, stop: int, code: Any, begins: Any, ends: Any, n: int) -> Any:
    """Write the offsets of one line to column `n`; return `FITS`, `MENDED` or `BAD`."""
    last = len(code.bounds) - 3
    if _cut(data, start, stop, code, last + 1, begins, ends, n) >= 0:
        if code.quoted[last]:
            low, high = code.bounds[last + 1], code.bounds[last + 2]
            if _find(data, begins[last, n], stop, code.literals, low, high, True) != ends[last, n]:
                return MENDED
        return FITS
    return MENDED if _cut_from_right(data, start, stop, code, begins, ends, n) else BAD


@kernel(made_of=[search, verdicts])
def scan_text(data: Any, starts: Any, stops: Any, code: Any, verdicts: Any, begins: Any, ends: Any) -> Any:
    """Cut all lines of a block.

    Parameters
    ----------
    data : uint8[...]
    starts, stops : int64[m]
        Line i is ``data[starts[i]:stops[i]]``.
    code : Code
    verdicts : uint8[m], written
        `FITS`, `MENDED`, `BLANK`, `LONG`, `BINARY` or `BAD`.
    begins, ends : int64[variables, m], written
        Offsets into `data`, of the lines that fit only, one after the other.

    Returns
    -------
    int
        Number of lines that fit.
    """
    n = 0
    for i in range(len(starts)):
        verdict = judge(data, starts[i], stops[i])
        if verdict == FITS:
            verdict = cut_line(data, starts[i], stops[i], code, begins, ends, n)
            if verdict == BAD:
                verdict = blame(data, starts[i], stops[i])
            else:
                n += 1
        verdicts[i] = verdict
    return n


@kernel(made_of=[search, verdicts])
def cut_values(data: Any, starts: Any, stops: Any, code: Any, begins: Any, ends: Any) -> None:
    """As `scan_text`, for values rather than lines; one that does not fit leaves all its variables empty."""
    for i in range(len(starts)):
        if cut_line(data, starts[i], stops[i], code, begins, ends, i) == BAD:
            for v in range(len(begins)):
                begins[v, i], ends[v, i] = starts[i], starts[i]
