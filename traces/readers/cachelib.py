"""CacheLib's published traces of key-value and block caches: CSV with known headers.

Key-value: ``op_time,key,key_size,op,op_count,size,cache_hits,ttl,...``, older ones
``key,op,size,op_count,key_size``. Size is that of the value; a TTL of 0 is none.
``op_count`` says how often the operation came in that second. A line is one request
unless ``expand=yes``: repeats within a second are hits in any cache, and hide what
differs between policies.

Block: ``op_time,block_id,block_id_size,io_size,io_offset,...,op_name,op_count,...``.
The object is the block, the size that of the part that was read or written.

Source: facebook/CacheLib, cachebench's KVReplayGenerator and BlockChunkReplayGenerator.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ..batch import Batch
from ..errors import FormatError, UsageError
from .base.columns import key_kind
from .base.fields import Columns, take
from .base.layout import Field, Layout
from .base.operations import operations
from .base.registry import trace_format
from .base.runs import runs
from .base.sniff import CERTAIN, Head
from .base.source import OVERRIDE, Source
from .base.text import TextReader

__all__ = ["CacheLibBlock", "CacheLibKv"]

_HOME = "https://cachelib.org/docs/Cache_Library_User_Guides/Cachebench_FB_HW_eval"


class _Headed(TextReader):
    """Columns are found by their names in the first line."""

    header_lines = 1
    OPTIONS: ClassVar = {"expand": "yes: an operation counts op_count times (default: once)"}
    columns: ClassVar[dict[str, tuple[str, str]]]  # field: column, kind
    required: ClassVar[set[str]]

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        head = Head(source)
        header = _names(head)
        if not self.required <= set(header):
            absent = ", ".join(sorted(self.required - set(header)))
            raise FormatError(self.path, f"has no column {absent} in its header", "line 1", OVERRIDE)
        expand = str(options.get("expand", "no")).lower()
        if expand not in ("yes", "no", "true", "false"):
            raise UsageError(f"{self.path}: expand={expand!r} is neither yes nor no")
        self._expand = expand in ("yes", "true")
        fields = {
            field: Field(header.index(column), kind, bits=31 if field == "count" else None)
            for field, (column, kind) in self.columns.items()
            if column in header
        }
        keys = [row[fields["key"].position] for row in csv.reader(head.lines[1:]) if len(row) == len(header)]
        fields["key"] = Field(fields["key"].position, key_kind(keys))
        self.layout = Layout(fields)

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure if the header has the columns."""
        return CERTAIN * (cls.required <= set(_names(head)))

    def _read(self) -> Iterator[Batch]:
        self._operations = 0
        yield from super()._read()
        if self._operations > self.account.records:
            self.note(f"op_count adds up to {self._operations:,}; a line counts once (expand=yes: op_count times)")

    def batch(self, fields: Columns) -> Iterator[Batch]:
        """Take the columns over, repeated if asked for."""
        counts = fields.get("count")
        if counts is None or not self._expand:
            self._operations += int(counts.sum()) if counts is not None else 0
            yield self._one(fields)
            return
        self.drop("op_count is 0", int((counts == 0).sum()))
        for rows, _ in runs(counts):
            yield self._one(take(fields, rows))

    def _one(self, fields: Columns) -> Batch:
        ttls = None
        if "ttl" in fields:
            ttls = np.where(fields["ttl"] > 0, fields["ttl"], np.inf).astype(np.float32)
        return Batch(
            keys=fields["key"],
            sizes=fields["size"],
            times=fields["time"].astype(np.float64) if "time" in fields else None,
            ttls=ttls,
            ops=operations(fields["op"]),
        )


@trace_format(
    "cachelib_kv",
    title="CacheLib key-value",
    description="CSV with columns key, op, size and, if there are, op_time, op_count, ttl",
    source=_HOME,
)
class CacheLibKv(_Headed):
    """Reader of CacheLib's key-value traces."""

    required: ClassVar = {"key", "op", "size", "op_count"}
    columns: ClassVar = {
        "key": ("key", "text"),
        "op": ("op", "word"),
        "size": ("size", "size"),
        "count": ("op_count", "int"),
        "time": ("op_time", "float"),
        "ttl": ("ttl", "float"),
    }


@trace_format(
    "cachelib_block",
    title="CacheLib block chunks",
    description="CSV with columns block_id, io_size, op_name and, if there is, op_time",
    source=_HOME,
)
class CacheLibBlock(_Headed):
    """Reader of CacheLib's block traces."""

    required: ClassVar = {"block_id", "io_size", "io_offset", "op_name"}
    columns: ClassVar = {
        "key": ("block_id", "text"),
        "op": ("op_name", "word"),
        "size": ("io_size", "size"),
        "count": ("op_count", "int"),
        "time": ("op_time", "float"),
    }


def _names(head: Head) -> list[str]:
    return [name.strip() for name in head.lines[0].split(",")] if head.lines else []
