"""Finding one of two bytes, eight at a time.

Source of the test for a zero byte in a word: Mycroft, in Warren, "Hacker's Delight", 2nd edition, section 6-1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...jit import kernel

__all__ = ["either", "line_bounds"]

_ONE, _ONES, _TOPS = np.uint64(1), np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)


@kernel()
def either(data: Any, at: int, stop: int, a: int, b: int) -> Any:
    """Position of the first `a` or `b` in ``data[at:stop]``; if there is none, `stop` or a position beyond it."""
    many_a, many_b = np.uint64(a) * _ONES, np.uint64(b) * _ONES
    while at < stop and at + 8 <= len(data):
        word = np.uint64(0)
        for j in range(8):  # compiles to one load
            word |= np.uint64(data[np.uint64(at) + np.uint64(j)]) << np.uint64(8 * j)
        x, y = word ^ many_a, word ^ many_b
        found = ((x - _ONES) & ~x | (y - _ONES) & ~y) & _TOPS
        if found:
            # The lowest bit that is set is exact; the bytes up to it are counted by a sum.
            below = (found ^ (found - _ONE)) & _ONES
            return at + np.int64((below * _ONES) >> np.uint64(56)) - 1
        at += 8
    while at < stop and data[at] != a and data[at] != b:
        at += 1
    return at


@kernel()
def line_bounds(data: Any, starts: Any, stops: Any) -> None:
    r"""Write where each line begins and ends, without its ``\n`` or ``\r\n``.

    Parameters
    ----------
    data : uint8[...]
    starts, stops : int64[lines], written
        One more than there are newlines, unless the last byte is one.
    """
    at = 0
    for i in range(len(starts)):
        end = either(data, at, len(data), 10, 10)
        starts[i] = at
        stops[i] = end - 1 if end > at and data[end - 1] == 13 else end
        at = end + 1
