"""ARC traces (``.lis``): each line asks for a run of blocks.

``start count ignored number``: blocks start, start + 1 ... start + count - 1 are one
request each, of equal size. Source: Megiddo and Modha, FAST 2003, section V.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from ..batch import Batch
from ..errors import FormatError
from .base.fields import Columns
from .base.layout import Field, Layout, typical
from .base.registry import trace_format
from .base.runs import MAX_RUN, runs
from .base.sniff import CERTAIN, LIKELY, Head
from .base.text import TextReader

__all__ = ["Arc"]

_NUMBER = "[0-9]{1,18}"
_ALL_FOUR = Layout({name: Field(i, "int", looks=_NUMBER) for i, name in enumerate("abcd")}, " ", width=4)


@trace_format(
    "arc",
    title="ARC block runs",
    description="'start count ignored number' per line: count unit requests",
    source="https://github.com/moka-rs/cache-trace/tree/main/arc",
    suffixes=(".lis",),
)
class Arc(TextReader):
    """Reader of the ARC authors' traces."""

    layout = Layout({"start": Field(0, "int"), "count": Field(1, "int", bits=62)}, " ")

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure if the fourth number counts the lines, likely if it at least never falls."""
        lines = typical(_ALL_FOUR, head.lines)
        if not lines:
            return 0.0
        numbers = np.array([line.split() for line in lines], dtype=np.int64)
        steps = np.diff(numbers[:, 3])
        if (steps == 1).all() and len(steps):
            return CERTAIN
        return LIKELY * bool((steps >= 0).all() and (np.diff(numbers[:, 0]) < 0).any())

    def batch(self, fields: Columns) -> Iterator[Batch]:
        """Take the runs apart."""
        start, count = fields["start"], fields["count"]
        if len(count) and count.max() > MAX_RUN:
            longest = int(count.argmax())
            where = self._find(start[longest], count[longest])
            raise FormatError(self.path, f"a run of {count[longest]:,} blocks; {MAX_RUN:,} is the most", where)
        self.drop("run of no blocks", int((count == 0).sum()))
        for record, step in runs(count):
            yield Batch(keys=(start[record] + step).view(np.uint64))

    def _find(self, start: int, count: int) -> str:
        run = re.compile(rb"^[ \t]*%d[ \t]+%d\b" % (start, count), re.MULTILINE)
        for first_line, block in self.source.blocks():
            if found := run.search(block):
                line = first_line + block.count(b"\n", 0, found.start())
                return f"line {line}"
        return ""
