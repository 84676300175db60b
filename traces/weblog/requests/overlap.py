"""Lines that two files of one log share: a copy, a longer copy, or files that were collected with an overlap.

Where the first line of the later file stands in the earlier one, both must go on alike, byte
for byte, until one of them ends. A single line in common proves nothing: a client may well
ask for the same thing twice in a second.

To look for a line, a file is read again. So that a hundred files are not read a hundred times
each, hashes of their lines, made while they are read anyway, tell where there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...readers.base.source import Source

__all__ = ["Repeated", "first_line", "line_hashes", "repeated"]

_KEY = np.zeros(2, np.uint64)

_TRIES = 8
"""How many places are tried where the first line of the later file stands in the earlier one."""


class Repeated(NamedTuple):
    """The start of a file that another file holds, too.

    Attributes
    ----------
    n_bytes : int
        Whole lines, counted with single newlines as `Source.blocks` has them.
    lines : int
        That are not blank.
    whole : bool
        It is all of the file.
    """

    n_bytes: int = 0
    lines: int = 0
    whole: bool = False


def first_line(source: Source) -> bytes:
    """The first line of a file as `Source.blocks` has it, with its newline; empty if it has no end."""
    line, newline, _ = source.head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    return line.removesuffix(b"\r") + newline if newline else b""


def line_hashes(block: bytes) -> npt.NDArray[np.uint64]:
    """Return a hash of each line that has an end, with it."""
    from ..siphash import fill_siphashes

    data = np.frombuffer(block, np.uint8)
    offsets = np.r_[0, np.flatnonzero(data == ord("\n")) + 1]
    hashes = np.empty(len(offsets) - 1, np.uint64)
    fill_siphashes(offsets, data, _KEY, hashes)
    return hashes


def repeated(earlier: Source, later: Source) -> Repeated:
    """Find out how much of the start of `later` is at the end of, or anywhere in, `earlier`."""
    line = first_line(later)
    if not line:
        return Repeated()
    for at in islice(_places(earlier, line), _TRIES):
        found = _alike(_bytes(earlier, at), _bytes(later))
        if found.lines > 1:
            return found
    return Repeated()


def _places(source: Source, line: bytes) -> Iterator[int]:
    """Where a line stands in a file."""
    passed = 0
    for _, block in source.blocks():
        at = block.find(line)
        while at >= 0:
            if at == 0 or block[at - 1] == ord("\n"):
                yield passed + at
            at = block.find(line, at + 1)
        passed += len(block)


def _bytes(source: Source, start: int = 0) -> Iterator[bytes]:
    for _, block in source.blocks():
        if start < len(block):
            yield block[start:]
        start = max(0, start - len(block))


def _alike(one: Iterator[bytes], two: Iterator[bytes]) -> Repeated:
    """What both have in common until one of them ends; nothing if they part before."""
    n_bytes, lines, in_line = 0, 0, b""
    a, b = next(one, b""), next(two, b"")
    while a and b:
        n = min(len(a), len(b))
        if a[:n] != b[:n]:
            return Repeated()
        whole_lines = in_line + b[:n]
        cut = whole_lines.rfind(b"\n") + 1
        lines += sum(1 for line in whole_lines[:cut].split(b"\n") if line.strip())
        n_bytes, in_line = n_bytes + cut, whole_lines[cut:]
        a, b = a[n:] or next(one, b""), b[n:] or next(two, b"")
    if not b:  # with a last line that lacks its end
        return Repeated(n_bytes + len(in_line), lines + bool(in_line.strip()), whole=True)
    return Repeated(n_bytes, lines)
