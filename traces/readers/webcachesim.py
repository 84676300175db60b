"""webcachesim traces (AdaptSize, LRB): ``time id size [features ...]``.

Separated by blanks, no header; size in bytes. Source: the README of
dasebe/webcachesim, and of sunnyszy/lrb for features after the size.
"""

from __future__ import annotations

import numpy as np

from ..batch import Batch
from .base.fields import Columns
from .base.layout import Field, Layout, typical
from .base.registry import trace_format
from .base.sniff import LIKELY, Head
from .base.text import TextReader

__all__ = ["WebCacheSim"]


@trace_format(
    "webcachesim",
    title="webcachesim (AdaptSize, LRB)",
    description="'time id size [features]' per line",
    source="https://github.com/dasebe/webcachesim#how-to-get-traces",
    suffixes=(".tr",),
)
class WebCacheSim(TextReader):
    """Reader of AdaptSize and LRB traces; features are not used."""

    layout = Layout({"time": Field(0, "float"), "key": Field(1, "key"), "size": Field(2, "size")}, " ")

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Likely if the first number never falls."""
        lines = typical(cls.layout, head.lines)
        times = np.array([line.split()[0] for line in lines], dtype=np.float64)
        return LIKELY * bool(len(lines) and (np.diff(times) >= 0).all())

    def batch(self, fields: Columns) -> Batch:
        """Take the columns over."""
        self.note("the format names no unit of time; it is taken as seconds")
        return Batch(keys=fields["key"], sizes=fields["size"], times=fields["time"])
