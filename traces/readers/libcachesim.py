"""libCacheSim's general formats: csv, txt, records by a format string, and its own lcs files.

lcs: a header of 8192 bytes (magic, version, statistics), then packed records::

    v1  uint32_t time; uint64_t id; uint32_t size; int64_t next;
    v2  ... size; uint8_t op; uint24_t tenant; int64_t next;
    v3  uint32_t time; uint64_t id; int64_t size; uint8_t op; uint24_t tenant;
        uint32_t ttl; int64_t next;
    v4-v8  v3 and 1, 2, 4, 8, 16 features of uint32_t

Source: libCacheSim's ``doc/quickstart_cachesim.md`` and ``traceReader/``.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..batch import Batch
from ..errors import FormatError, UsageError
from .base.binary import RecordReader
from .base.operations import LIBCACHESIM_OPS
from .base.registry import trace_format
from .base.sniff import CERTAIN, Head
from .base.source import OVERRIDE, Source
from .csv import Csv
from .plain import Plain

__all__ = ["LibCacheSimBin", "LibCacheSimCsv", "LibCacheSimLcs", "LibCacheSimTxt"]

_HOME = "https://github.com/1a1a11a/libCacheSim/blob/develop/"
_OWN_NAMES = {
    "time_col": "time",
    "obj_id_col": "key",
    "obj_size_col": "size",
    "op_col": "op",
    "ttl_col": "ttl",
    "has_header": "header",
}


@trace_format(
    "libcachesim_csv",
    title="libCacheSim csv",
    description="CSV whose columns are given by number from 1, or by name",
    source=_HOME + "doc/quickstart_cachesim.md",
)
class LibCacheSimCsv(Csv):
    """`Csv`, which also takes libCacheSim's option names (``time_col``, ``obj_id_col`` ...)."""

    OPTIONS: ClassVar = {**Csv.OPTIONS, **{own: f"the same as {ours}" for own, ours in _OWN_NAMES.items()}}

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **{_OWN_NAMES.get(name, name): value for name, value in options.items()})

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure of the header that libCacheSim's own sample trace has."""
        return CERTAIN * (head.lines[:1] == ["version,time,op,size,lbn"])


@trace_format(
    "libcachesim_txt",
    title="libCacheSim txt",
    description="one id per line; the same as plain",
    source=_HOME + "libCacheSim/traceReader/generalReader/txt.c",
)
class LibCacheSimTxt(Plain):
    """`Plain` under libCacheSim's name."""

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Never: such a file is recognised as plain."""
        return 0.0


_LETTERS = {
    "b": "i1",
    "B": "u1",
    "h": "i2",
    "H": "u2",
    "i": "i4",
    "I": "u4",
    "l": "i4",
    "L": "u4",
    "q": "i8",
    "Q": "u8",
    "f": "f4",
    "d": "f8",
}
"""Type by letter, as in Python's struct with standard sizes."""


@trace_format(
    "libcachesim_bin",
    title="libCacheSim binary",
    description="little-endian records by a format string such as '<IQI'",
    source=_HOME + "libCacheSim/traceReader/generalReader/binary.c",
)
class LibCacheSimBin(RecordReader):
    """Reader of records that the options describe."""

    OPTIONS: ClassVar = {
        "format": "'<' and one letter of bBhHiIlLqQfd per field, for example '<IQI'",
        "key": "number, from 1, of the field that holds the object (default 2, or 1 if there is one field)",
        "time": "number of the field that holds the time in seconds, or none",
        "size": "number of the field that holds the size in bytes, or none",
        "offset": "bytes before the first record (default 0)",
    }

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        text = str(options.get("format", ""))
        if not re.fullmatch(f"<[{''.join(_LETTERS)}]+", text):
            raise UsageError(
                f"{self.path}: libcachesim_bin needs format='<' and letters of {''.join(_LETTERS)}, "
                f"for example format='<IQI'; got {text!r}"
            )
        self.dtype = np.dtype([(f"f{i}", "<" + _LETTERS[c]) for i, c in enumerate(text[1:], start=1)])
        offset = str(options.get("offset", 0))
        if not offset.isdecimal():
            raise UsageError(f"{self.path}: offset={offset!r} is no number of bytes")
        self.header_bytes = int(offset)
        single = len(text) == 2
        self._key = self._field("key", 1 if single else 2) or "f1"
        self._time = self._field("time", None)
        self._size = self._field("size", None)
        for option, field in (("key", self._key), ("size", self._size)):
            if field and self.dtype[field].kind == "f":
                raise UsageError(f"{self.path}: the {option} field is a real number; say which is not: {option}=NUMBER")

    def batch(self, records: npt.NDArray[Any]) -> Batch:
        """Take the chosen fields over."""
        keys = records[self._key]
        wide = np.uint64 if keys.dtype.kind == "u" else np.int64
        return Batch(
            keys=keys.astype(wide).view(np.uint64),
            sizes=records[self._size].astype(np.int64) if self._size else None,
            times=records[self._time].astype(np.float64) if self._time else None,
        )

    def _field(self, option: str, default: int | None) -> str | None:
        number = self.options.get(option, default)
        if number is None or str(number).lower() == "none":
            return None
        names = self.dtype.names or ()
        if f"f{number}" not in names:
            raise UsageError(f"{self.path}: {option}={number}, but fields are numbered 1 to {len(names)}")
        return f"f{number}"


_LCS_MAGIC = np.uint64(0x123456789ABCDEF0)
_LCS_FEATURES = {3: 0, 4: 1, 5: 2, 6: 4, 7: 8, 8: 16}


@trace_format(
    "lcs",
    title="libCacheSim lcs",
    description="header of 8192 bytes, then time, id, size and, by version, op, ttl, features",
    source=_HOME + "libCacheSim/traceReader/generalReader/lcs.h",
    suffixes=(".lcs",),
)
class LibCacheSimLcs(RecordReader):
    """Reader of lcs files, versions 1 to 8."""

    header_bytes = 8192

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        header = np.frombuffer(source.head[:16].ljust(16, b"\0"), "<u8")
        if header[0] != _LCS_MAGIC:
            raise FormatError(self.path, "does not start with the lcs magic number", hint=OVERRIDE)
        version = int(header[1])
        tail: list[Any] = [("next", "<i8")]
        if version in (1, 2):
            extra: list[Any] = [("op", "u1"), ("tenant", "V3")] if version == 2 else []
            fields = [("time", "<u4"), ("key", "<u8"), ("size", "<u4"), *extra, *tail]
        elif version in _LCS_FEATURES:
            extra = [("op", "u1"), ("tenant", "V3"), ("ttl", "<u4")]
            tail += [("features", "<u4", (_LCS_FEATURES[version],))]
            fields = [("time", "<u4"), ("key", "<u8"), ("size", "<i8"), *extra, *tail]
        else:
            raise FormatError(self.path, f"lcs version {version}; versions 1 to 8 are known", "byte 8")
        self.dtype = np.dtype(fields)

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure of the magic number."""
        return CERTAIN * (head.data[:8] == _LCS_MAGIC.tobytes())

    def batch(self, records: npt.NDArray[Any]) -> Batch:
        """Take the fields over; a TTL of 0 is none."""
        names = self.dtype.names or ()
        ttls = None
        if "ttl" in names:
            ttls = np.where(records["ttl"] == 0, np.inf, records["ttl"]).astype(np.float32)
        ops = None
        if "op" in names:
            ops = LIBCACHESIM_OPS[records["op"]]
        return Batch(
            keys=np.ascontiguousarray(records["key"]),
            sizes=records["size"].astype(np.int64),
            times=records["time"].astype(np.float64),
            ttls=ttls,
            ops=ops,
        )
