"""MSR Cambridge block traces: ``Timestamp,Hostname,Disk,Type,Offset,Size,ResponseTime``.

Times are Windows file times (100 ns), offset and size are bytes. The key is the
offset with the disk number above its 54 bits; a file is of one host. The
response time, in seconds, is what a miss costs. Source: SNIA IOTTA 388, README;
Narayanan et al., FAST 2008.
"""

from __future__ import annotations

import numpy as np

from ..batch import Batch
from .base.fields import Columns
from .base.layout import Field, Layout
from .base.operations import operations
from .base.registry import trace_format
from .base.text import TextReader

__all__ = ["Msr"]

_TICKS_PER_S = 1e7


@trace_format(
    "msr",
    title="MSR Cambridge block trace",
    description="'time(100ns),host,disk,Read|Write,offset,size,response(100ns)' per line",
    source="https://iotta.snia.org/traces/block-io/388",
    address_bytes=1,
)
class Msr(TextReader):
    """Reader of MSR Cambridge traces."""

    layout = Layout(
        {
            "time": Field(0, "int"),
            "host": Field(1, "word", looks="[A-Za-z][A-Za-z0-9_]*"),
            "disk": Field(2, "int", bits=8),
            "op": Field(3, "word", looks="[Rr]ead|[Ww]rite"),
            "offset": Field(4, "int", bits=54),
            "size": Field(5, "size"),
            "response": Field(6, "int"),
        }
    )

    def batch(self, fields: Columns) -> Batch:
        """Join disk and offset into the key; ticks become seconds."""
        if len(fields["host"].texts) > 2:
            self.note("more than one host: equal offsets of two hosts count as one object")
        return Batch(
            keys=(fields["disk"] << 54 | fields["offset"]).view(np.uint64),
            sizes=fields["size"],
            times=fields["time"] / _TICKS_PER_S,
            costs=(fields["response"] / _TICKS_PER_S).astype(np.float32),
            ops=operations(fields["op"]),
        )
