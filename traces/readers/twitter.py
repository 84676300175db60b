"""Twitter's cache clusters: ``time,key,key_size,value_size,client,operation,ttl``.

No header; times and TTLs are in seconds, sizes in bytes. The size of an object is
that of key and value. Only writes carry a TTL; 0 stands for none. Source: Yang, Yue
and Rashmi, OSDI 2020, and the README of twitter/cache-trace.
"""

from __future__ import annotations

import numpy as np

from ..batch import Batch
from .base.fields import Columns
from .base.layout import Field, Layout
from .base.operations import operations
from .base.registry import trace_format
from .base.text import TextReader

__all__ = ["Twitter"]


@trace_format(
    "twitter",
    title="Twitter cache-trace",
    description="'time,key,key_size,value_size,client,operation,ttl' per line",
    source="https://github.com/twitter/cache-trace",
)
class Twitter(TextReader):
    """Reader of Twitter's (Pelikan's) traces."""

    layout = Layout(
        {
            "time": Field(0, "float"),
            "key": Field(1, "line"),
            "key_size": Field(2, "int"),
            "value_size": Field(3, "int"),
            "op": Field(5, "word", looks="gets?|set|add|replace|cas|append|prepend|delete|incr|decr"),
            "ttl": Field(6, "int"),
        },
        width=7,
    )

    def batch(self, fields: Columns) -> Batch:
        """Add key and value sizes; a TTL of 0 is none."""
        return Batch(
            keys=fields["key"],
            sizes=fields["key_size"] + fields["value_size"],
            times=fields["time"],
            ttls=np.where(fields["ttl"] > 0, fields["ttl"], np.inf).astype(np.float32),
            ops=operations(fields["op"]),
        )
