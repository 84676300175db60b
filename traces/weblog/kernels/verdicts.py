"""What became of a line."""

from __future__ import annotations

from typing import Any

from ...jit import kernel

__all__ = ["BAD", "BINARY", "BLANK", "FITS", "LONG", "LONGEST", "MENDED", "TORN", "blame", "judge"]

FITS, MENDED, BLANK, BAD, TORN, LONG, BINARY = range(7)
"""What became of a line; one that is mended holds a quote that nothing escapes, and fits."""

LONGEST = 1 << 20
"""Bytes of the longest line that is cut."""


@kernel()
def judge(data: Any, start: int, stop: int) -> Any:
    """`BLANK`, `LONG`, or `FITS` for a line that is to be cut."""
    if stop - start > LONGEST:
        return LONG
    for at in range(start, stop):
        if data[at] != 32 and data[at] != 9 and data[at] != 13:
            return FITS
    return BLANK


@kernel()
def blame(data: Any, start: int, stop: int) -> Any:
    """`BINARY` for a line that does not fit and holds control characters, else `BAD`."""
    for at in range(start, stop):
        if data[at] < 32 and data[at] != 9:
            return BINARY
    return BAD
