"""oracleGeneral: libCacheSim's records with the next use of each object.

::

    struct {                      // little endian, packed, 24 bytes
        uint32_t timestamp;       // seconds
        uint64_t obj_id;
        uint32_t obj_size;        // bytes
        int64_t  next_access_vtime;  // number of the request, -1 = never
    };

The next use is not taken over: it is computed anew, because samples and prefixes
of a trace carry numbers that no longer hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..batch import Batch
from .base.binary import RecordReader
from .base.registry import trace_format
from .base.sniff import CERTAIN, Head

__all__ = ["ORACLE_GENERAL", "OracleGeneral"]

ORACLE_GENERAL = np.dtype([("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")])


@trace_format(
    "oracle_general",
    title="oracleGeneral",
    description="24-byte records: time u32, id u64, size u32, next use i64",
    source="https://github.com/1a1a11a/libCacheSim/blob/develop/libCacheSim/traceReader",
    suffixes=(".oraclegeneral", ".bin"),
)
class OracleGeneral(RecordReader):
    """Reader of oracleGeneral files."""

    dtype = ORACLE_GENERAL

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure if times do not fall and each next use is -1 or lies ahead."""
        records = np.frombuffer(head.data, cls.dtype, len(head.data) // cls.dtype.itemsize)
        if not len(records) or head.text:
            return 0.0
        ahead = records["next"] - np.arange(len(records))
        plausible = (records["next"] == -1) | ((ahead > 0) & (ahead < 1 << 40))
        in_order = bool((np.diff(records["time"].astype(np.int64)) >= 0).all())
        return CERTAIN * (in_order and bool(plausible.all()))

    def batch(self, records: npt.NDArray[Any]) -> Batch:
        """Take id, size and time over as they are."""
        return Batch(
            keys=np.ascontiguousarray(records["key"]),
            sizes=records["size"].astype(np.int64),
            times=records["time"].astype(np.float64),
        )
