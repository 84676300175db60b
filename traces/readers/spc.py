"""SPC block traces, as in the UMass repository: ``ASU,LBA,size,opcode,timestamp``.

LBA counts blocks of 512 bytes, size is in bytes, the time in seconds. The key is
the block number with the application-specific unit (ASU) above its 38 bits.
Source: SPC Trace File Format Specification 1.0.1 (2002).
"""

from __future__ import annotations

import numpy as np

from ..batch import Batch
from .base.fields import Columns
from .base.layout import Field, Layout
from .base.operations import operations
from .base.registry import trace_format
from .base.text import TextReader

__all__ = ["Spc"]


@trace_format(
    "spc",
    title="SPC (UMass) block trace",
    description="'ASU,LBA,size,opcode,timestamp' per line",
    source="https://traces.cs.umass.edu/docs/traces/storage/",
    suffixes=(".spc",),
    address_bytes=512,
)
class Spc(TextReader):
    """Reader of SPC traces; fields after the fifth are ignored, as the specification allows."""

    layout = Layout(
        {
            "asu": Field(0, "int", bits=15),
            "lba": Field(1, "int", bits=38),
            "size": Field(2, "size"),
            "op": Field(3, "word", looks="[RrWw]"),
            "time": Field(4, "float"),
        }
    )

    def batch(self, fields: Columns) -> Batch:
        """Join unit and block into the key."""
        return Batch(
            keys=(fields["asu"] << 38 | fields["lba"]).view(np.uint64),
            sizes=fields["size"],
            times=fields["time"],
            ops=operations(fields["op"]),
        )
