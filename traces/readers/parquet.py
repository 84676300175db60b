"""Parquet with named columns: evictlab's own, Pelikan's, or any with a key column.

evictlab writes ``time_s f64, key u64|string, size, op u8, ttl_s, cost_s, prediction,
size_known, cache_status``. Pelikan's
cachesim writes ``timestamp, obj_id, obj_size, next_access_vtime, op?, ttl?``, with an
integer timestamp in nanoseconds and libCacheSim's operation numbers; it is told by
``next_access_vtime`` beside ``obj_id``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ..batch import OTHER, Batch
from ..errors import FormatError
from .base.columns import ROLE_OPTIONS, assign, time_scale
from .base.fields import Words
from .base.operations import LIBCACHESIM_OPS, answers, operations, truths
from .base.reader import BATCH_RECORDS, Reader
from .base.registry import trace_format
from .base.sniff import CERTAIN, Head
from .base.source import OVERRIDE, Source

__all__ = ["Parquet"]

_PELIKAN = {"obj_id", "next_access_vtime"}


@trace_format(
    "parquet",
    title="Parquet by column name",
    description="key and, if there are, time, size, op, ttl, cost, prediction by usual names or options",
    source="https://parquet.apache.org/docs/file-format",
    suffixes=(".parquet",),
)
class Parquet(Reader):
    """Reader of Parquet files."""

    OPTIONS: ClassVar = ROLE_OPTIONS

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        schema = self._open().schema_arrow
        at = assign(self.path, schema.names, options)
        self._columns = {role: schema.names[position] for role, position in at.items()}
        self._pelikan = set(schema.names) >= _PELIKAN
        self._time_scale = 1.0
        if "time" in at:
            name = self._columns["time"]
            self._time_scale = time_scale(name, options)
            if self._pelikan and "time_unit" not in options and str(schema.field(name).type).endswith("int64"):
                self._time_scale = 1e-9

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure of the magic number."""
        return CERTAIN * head.data.startswith(b"PAR1")

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        where: Any = str(self.path)
        if self.source.compression:
            with self.source.open() as stream:
                where = pa.BufferReader(stream.read())
        try:
            return parquet.ParquetFile(where)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(self.path, f"is no readable Parquet file ({_first_line(error)})", hint=OVERRIDE) from None

    def _read(self) -> Iterator[Batch]:
        import pyarrow as pa

        names = list(dict.fromkeys(self._columns.values()))
        try:
            for rows in self._open().iter_batches(BATCH_RECORDS, columns=names):
                yield self._batch(rows)
        except (pa.ArrowException, OSError) as error:
            raise FormatError(self.path, f"is damaged ({_first_line(error)})") from None

    def _batch(self, rows: Any) -> Batch:
        import pyarrow as pa
        import pyarrow.compute as pc

        self.account.records += len(rows)
        usable = pa.array(np.ones(len(rows), dtype=bool))
        for role in ("key", "time", "size", "cost"):
            if role not in self._columns:
                continue
            valid = pc.is_valid(rows[self._columns[role]])
            self.drop(f"no {role}", pc.sum(pc.and_(usable, pc.invert(valid))).as_py() or 0)
            usable = pc.and_(usable, valid)
        if not pc.all(usable).as_py():
            rows = rows.filter(usable)
        columns = {role: rows[name] for role, name in self._columns.items()}
        return Batch(
            keys=self._keys(columns["key"]),
            sizes=self._numbers(columns, "size", np.int64),
            times=self._times(columns),
            ttls=self._numbers(columns, "ttl", np.float32, missing=np.inf),
            costs=self._numbers(columns, "cost", np.float32),
            ops=self._ops(columns),
            predictions=self._numbers(columns, "prediction", np.float64, missing=np.nan),
            known=truths(self._words(columns["known"])) if "known" in columns else None,
            logged=answers(self._words(columns["logged"])) if "logged" in columns else None,
        )

    def _keys(self, column: Any) -> Any:
        import pyarrow as pa

        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_unsigned_integer(column.type):
            return column.to_numpy(zero_copy_only=False).astype(np.uint64)
        if pa.types.is_integer(column.type):
            return column.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
        try:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                return column.cast(pa.string())
            if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
                return column.cast(pa.string())
        except pa.ArrowInvalid as error:
            raise FormatError(self.path, f"a key is no text ({_first_line(error)})") from None
        name = self._columns["key"]
        raise FormatError(self.path, f"column {name!r} holds {column.type}; keys are integers or text")

    def _times(self, columns: dict[str, Any]) -> Any:
        import pyarrow as pa

        column = columns.get("time")
        if column is not None and pa.types.is_timestamp(column.type):
            ticks_per_s = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
            return column.cast(pa.int64()).to_numpy(zero_copy_only=False) / ticks_per_s
        times = self._numbers(columns, "time", np.float64)
        return None if times is None else times * self._time_scale

    def _ops(self, columns: dict[str, Any]) -> Any:
        import pyarrow as pa

        column = columns.get("op")
        if column is None:
            return None
        if pa.types.is_integer(column.type):
            codes = self._numbers(columns, "op", np.int64)
            if self._pelikan:
                return LIBCACHESIM_OPS[np.clip(codes, 0, 255)]
            return np.where((codes >= 0) & (codes < OTHER), codes, OTHER).astype(np.uint8)
        return operations(self._words(column))

    def _words(self, column: Any) -> Words:
        import pyarrow as pa

        words = column if pa.types.is_dictionary(column.type) else column.cast(pa.string()).dictionary_encode()
        codes = words.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return Words(codes, [*words.dictionary.cast(pa.string()).to_pylist(), ""])

    def _numbers(self, columns: dict[str, Any], role: str, dtype: Any, missing: float = 0) -> Any:
        import pyarrow as pa

        column = columns.get(role)
        if column is None:
            return None
        try:
            plain = column.fill_null(missing) if column.null_count and missing == 0 else column
            if np.dtype(dtype).kind == "f":
                plain = plain.cast(pa.float64(), safe=False).fill_null(missing)  # rounds integers beyond 2^53
            return plain.cast(pa.from_numpy_dtype(dtype), safe=dtype is np.int64).to_numpy(zero_copy_only=False)
        except (pa.ArrowException, TypeError) as error:
            problem = f"column {self._columns[role]!r} is no usable {role} ({_first_line(error)})"
            raise FormatError(self.path, problem, hint=f"Ignore it: {role}=none.") from None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:120]
