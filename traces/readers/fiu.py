"""FIU block traces: ``time pid process block n_blocks R|W major minor [digest]``.

The time is in nanoseconds, blocks are of 512 bytes. The key is the first block with
the device number above 37 bits. Source: SNIA IOTTA 390 and 414, README; Koller and
Rangaswami, FAST 2010.
"""

from __future__ import annotations

import numpy as np

from ..batch import Batch
from .base.fields import Columns
from .base.layout import Field, Layout
from .base.operations import operations
from .base.registry import trace_format
from .base.text import TextReader

__all__ = ["Fiu"]

_BLOCK_BYTES = 512


@trace_format(
    "fiu",
    title="FIU block trace",
    description="'time(ns) pid process block n_blocks R|W major minor' per line",
    source="https://iotta.snia.org/traces/block-io/390",
    suffixes=(".blkparse",),
    address_bytes=512,
)
class Fiu(TextReader):
    """Reader of Florida International University's traces."""

    layout = Layout(
        {
            "time": Field(0, "int"),
            "block": Field(3, "int", bits=37),
            "n_blocks": Field(4, "int", bits=40),
            "op": Field(5, "word", looks="[RrWw]"),
            "major": Field(6, "int", bits=8),
            "minor": Field(7, "int", bits=8),
        },
        " ",
    )

    def batch(self, fields: Columns) -> Batch:
        """Join device and block into the key; blocks become bytes, nanoseconds seconds."""
        device = fields["major"] << 8 | fields["minor"]
        return Batch(
            keys=(device << 37 | fields["block"]).view(np.uint64),
            sizes=fields["n_blocks"] * _BLOCK_BYTES,
            times=fields["time"] / 1e9,
            ops=operations(fields["op"]),
        )
