"""Write a trace as Parquet, oracleGeneral, CSV or access log: whole, or not at all.

=============== ============================== ======================================
format          suffixes                       columns
=============== ============================== ======================================
parquet         .parquet .pq                   time_s f64, key u64 or string, size u32
                                               or i64, op u8, ttl_s f32, cost_s f32,
                                               prediction f64, size_known bool,
                                               cache_status (a word), next i64;
                                               provenance in the metadata
oracle_general  .oracleGeneral[.bin][.zst|.gz] time u32, key u64, size u32, next i64
csv             .csv[.zst|.gz]                 time_s, key, size, op (a word), ttl_s,
                                               cost_s, prediction, size_known,
                                               cache_status
access_log     .log[.zst|.gz]                  NGINX's combined lines
=============== ============================== ======================================

Columns that the trace does not have are left out (oracleGeneral has no way to
say so: time 0, size 1). ``next`` is the number of the next request for the same
object, counted from 1 as libCacheSim does, and -1 where there is none.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .batch import LOGGED, Batch
from .errors import TraceError, UnknownNameError, UsageError
from .request import BATCH_REQUESTS, RequestTrace

__all__ = ["WRITERS", "write_trace"]

ORACLE_GENERAL = np.dtype([("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")])
"""One record of libCacheSim's oracleGeneral format, 24 bytes."""

LARGEST_U32 = 2**32 - 1

OP_WORDS = ("get", "set", "delete", "other")
"""What the operations are called in CSV, by their number."""

COMPRESSIONS = {".zst": "zstd", ".zstd": "zstd", ".gz": "gzip"}


def write_trace(trace: RequestTrace, path: str | Path) -> Path:
    """Write `trace` to `path`; the suffix says how.

    Parameters
    ----------
    trace : RequestTrace
    path : str or Path
        As str also ``format:path``. An existing file is replaced at the very end.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        The suffix belongs to no format that can be written.
    TraceError
        The format cannot hold the trace, or the file cannot be written (then
        nothing is left behind).
    """
    name, path = _format_of(path)
    with _written_whole(path) as temporary:
        WRITERS[name](trace, temporary, None if name == "parquet" else COMPRESSIONS.get(path.suffix.lower()))
    return path


def _format_of(place: str | Path) -> tuple[str, Path]:
    prefix, colon, rest = os.fspath(place).partition(":")
    if colon and prefix.replace("-", "_") in WRITERS:
        return prefix.replace("-", "_"), Path(rest)
    suffixes = [suffix.lower() for suffix in Path(place).suffixes]
    for suffix, name in SUFFIXES.items():
        if suffix in suffixes:
            return name, Path(place)
    if colon and os.sep not in prefix and len(prefix) > 1:
        raise UnknownNameError("trace format to write", prefix, WRITERS)
    raise UsageError(f"{place}: in which format? Known suffixes: {', '.join(SUFFIXES)}; or write format:path")


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """A temporary file that takes the place of `path` if all goes well and vanishes if not."""
    import pyarrow as pa

    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield temporary
        temporary.replace(path)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise TraceError(f"{path}: cannot be written ({reason}); nothing was left behind") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _pieces(trace: RequestTrace) -> Iterator[tuple[Batch, npt.NDArray[np.int64]]]:
    """Batches with the number of the next request for the same object, or -1."""
    never = np.iinfo(trace.next_use.dtype).max
    for number, batch in enumerate(trace.batches(BATCH_REQUESTS)):
        start = number * BATCH_REQUESTS
        upcoming = trace.next_use[start : start + len(batch)].astype(np.int64)
        yield batch, np.where(upcoming == never, -1, upcoming + 1)


def _table(batch: Batch, schema: Any, upcoming: npt.NDArray[np.int64] | None) -> Any:
    import pyarrow as pa

    columns = {
        "time_s": batch.times,
        "key": batch.keys,
        "size": batch.sizes,
        "op": batch.ops,
        "ttl_s": batch.ttls,
        "cost_s": batch.costs,
        "prediction": batch.predictions,
        "size_known": batch.known,
        "next": upcoming,
    }
    if batch.ops is not None and pa.types.is_string(schema.field("op").type):
        columns["op"] = pa.DictionaryArray.from_arrays(batch.ops, OP_WORDS)
    if batch.logged is not None:
        columns["cache_status"] = pa.DictionaryArray.from_arrays(batch.logged, LOGGED)
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)


def _schema(trace: RequestTrace, op_type: Any, with_next: bool) -> Any:
    import pyarrow as pa

    narrow = trace.sizes is not None and trace.sizes.max() <= LARGEST_U32
    columns = [
        ("time_s", pa.float64(), trace.times is not None),
        ("key", pa.uint64() if isinstance(trace.keys, np.ndarray) else pa.string(), True),
        ("size", pa.uint32() if narrow else pa.int64(), trace.sizes is not None),
        ("op", op_type, trace.ops is not None),
        ("ttl_s", pa.float32(), trace.ttls is not None),
        ("cost_s", pa.float32(), trace.costs is not None),
        ("prediction", pa.float64(), trace.predictions is not None),
        ("size_known", pa.bool_(), trace.known is not None),
        ("cache_status", pa.string(), trace.logged is not None),
        ("next", pa.int64(), with_next),
    ]
    return pa.schema([(name, kind) for name, kind, present in columns if present])


def _parquet(trace: RequestTrace, path: Path, _: str | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    facts = json.dumps(trace.provenance.to_dict() | {"sha256": trace.provenance.sha256}, default=str)
    schema = _schema(trace, pa.uint8(), with_next=True).with_metadata({"evictlab": facts})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch, upcoming in _pieces(trace):
            writer.write_table(_table(batch, schema, upcoming))


def _csv(trace: RequestTrace, path: Path, compression: str | None) -> None:
    import pyarrow as pa
    import pyarrow.csv as pc

    schema = _schema(trace, pa.string(), with_next=False)
    with _stream(path, compression) as stream, pc.CSVWriter(stream, schema) as writer:
        for batch in trace.batches(BATCH_REQUESTS):
            writer.write_table(_table(batch, schema, None))


def _oracle_general(trace: RequestTrace, path: Path, compression: str | None) -> None:
    """Keys that are strings become their dense ids, counted from 1: the format has integers only."""
    if trace.sizes is not None and (largest := int(trace.sizes.max())) > LARGEST_U32:
        raise TraceError(f"oracleGeneral holds sizes below 4 GiB, but there is one of {largest:,} B; write Parquet")
    origin_s = 0.0
    if trace.times is not None:
        if not (trace.times[0] >= 0 and trace.times[-1] <= LARGEST_U32):
            origin_s = float(trace.times[0])
        if trace.times[-1] - origin_s > LARGEST_U32:
            raise TraceError("oracleGeneral holds whole seconds below 2^32; this trace is longer; write Parquet")
    done = 0
    with _stream(path, compression) as stream:
        for batch, upcoming in _pieces(trace):
            records = np.zeros(len(batch), ORACLE_GENERAL)
            ids = trace.ids[done : done + len(batch)]
            records["key"] = batch.keys if isinstance(batch.keys, np.ndarray) else ids.astype(np.uint64) + 1
            records["time"] = 0 if batch.times is None else np.floor(batch.times - origin_s)
            records["size"] = 1 if batch.sizes is None else batch.sizes
            records["next"] = upcoming
            stream.write(records.tobytes())
            done += len(batch)


def _access_log(trace: RequestTrace, path: Path, compression: str | None) -> None:
    from .weblog.lines import combined_lines

    with _stream(path, compression) as stream:
        for batch in trace.batches(BATCH_REQUESTS):
            stream.write(combined_lines(batch))


def _stream(path: Path, compression: str | None) -> Any:
    import pyarrow as pa

    return pa.output_stream(str(path), compression=compression)


WRITERS: dict[str, Callable[[RequestTrace, Path, str | None], None]] = {
    "parquet": _parquet,
    "oracle_general": _oracle_general,
    "csv": _csv,
    "access_log": _access_log,
}
"""How each format is written, by the name it has as a reader."""

SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".oraclegeneral": "oracle_general",
    ".csv": "csv",
    ".log": "access_log",
}
"""File suffixes, in lower case, that say the format."""
