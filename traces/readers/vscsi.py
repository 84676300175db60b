"""vscsi: block traces of virtual disks (VMware), versions 1 and 2.

::

    struct v1 {                   // little endian, 32 bytes
        uint32_t serial, length, n_sg;   // length in bytes
        uint16_t command, version;       // SCSI opcode; version >> 8 is 1
        uint64_t block, microseconds;
    };
    struct v2 {                   // 40 bytes
        uint16_t command, version;       // version >> 8 is 2
        uint32_t serial, length, n_sg;
        uint64_t block, microseconds, response;
    };

A block is 512 bytes. One record is one request for its first block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..batch import GET, OTHER, SET, Batch
from ..errors import FormatError
from .base.binary import RecordReader
from .base.registry import trace_format
from .base.sniff import CERTAIN, Head
from .base.source import OVERRIDE, Source

__all__ = ["Vscsi"]

_V1 = [("serial", "<u4"), ("size", "<u4"), ("n_sg", "<u4"), ("command", "<u2"), ("version", "<u2")]
_V2 = [("command", "<u2"), ("version", "<u2"), ("serial", "<u4"), ("size", "<u4"), ("n_sg", "<u4")]
_WHERE = [("block", "<u8"), ("time", "<u8")]
_VERSIONS = {1: np.dtype(_V1 + _WHERE), 2: np.dtype([*_V2, *_WHERE, ("response", "<u8")])}
_READS = (0x08, 0x28, 0x88, 0xA8)
_WRITES = (0x0A, 0x2A, 0x8A, 0xAA)
_OPS = np.full(1 << 16, OTHER, dtype=np.uint8)
_OPS[list(_READS)] = GET
_OPS[list(_WRITES)] = SET


@trace_format(
    "vscsi",
    title="vSCSI block trace",
    description="32- or 40-byte records: SCSI command, length, block, microseconds",
    source="https://github.com/1a1a11a/libCacheSim/blob/develop/libCacheSim/traceReader",
    suffixes=(".vscsi",),
    address_bytes=512,
)
class Vscsi(RecordReader):
    """Reader of vscsi files; the version is told by the records."""

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        version = _version(source.head)
        if version is None:
            raise FormatError(self.path, "has no vscsi version number (1 or 2) in its records", hint=OVERRIDE)
        self.dtype = _VERSIONS[version]

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure if every record carries the version, and mostly reads and writes."""
        version = _version(head.data)
        if version is None:
            return 0.0
        dtype = _VERSIONS[version]
        commands = np.frombuffer(head.data, dtype, len(head.data) // dtype.itemsize)["command"]
        return CERTAIN * bool((_OPS[commands] != OTHER).mean() > 0.5)

    def batch(self, records: npt.NDArray[Any]) -> Batch:
        """Key a request by its first block; microseconds become seconds."""
        return Batch(
            keys=np.ascontiguousarray(records["block"]),
            sizes=records["size"].astype(np.int64),
            times=records["time"] / 1e6,
            ops=_OPS[records["command"]],
        )


def _version(data: bytes) -> int | None:
    for version, dtype in _VERSIONS.items():
        records = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
        if len(records) and bool((records["version"] >> 8 == version).all()):
            return version
    return None
