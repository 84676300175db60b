"""Numbered traces kept on disk, so that a trace is read and numbered once.

A trace is one Arrow IPC file with a single record batch: the column ``key`` is
dictionary-encoded (its indices are the dense ids, its dictionary is the keys),
then the optional columns; the provenance is in the schema's metadata. Loading
maps the file and copies nothing. Any Arrow reader can open it.

The folder is limited to ``$EVICTLAB_CACHE_MAX`` (default 20 GiB); the traces
that were not used for longest go first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .columns import SpillError
from .home import cache_home
from .normalise import COLUMNS
from .provenance import Provenance
from .request import DTYPES, RequestTrace
from .units import parse_size

__all__ = ["entry", "growing_folder", "load", "prune", "save"]

LAYOUT = 1
"""Part of the name of every entry; raised when the files change their meaning."""

ABANDONED_S = 86400.0
"""A temporary folder this old was left by a process that was killed."""

NAMES = {"sizes": "size", "times": "time_s", "ttls": "ttl_s", "costs": "cost_s", "ops": "op"}
"""Names of the optional columns in the file."""


def folder() -> Path:
    """Where the traces are kept; it exists."""
    place = cache_home() / "traces"
    place.mkdir(parents=True, exist_ok=True)
    return place


def entry(facts: dict[str, Any], label: str) -> Path:
    """The file that holds, or would hold, the trace described by `facts`.

    Parameters
    ----------
    facts : dict
        Everything that determines the trace: sources with size and time of change,
        reader, options, selection.
    label : str
        A readable beginning for the file name.
    """
    text = json.dumps({"layout": LAYOUT, **facts}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    readable = "".join(c if c.isalnum() or c in "._-" else "_" for c in label)[:60]
    return folder() / f"{readable}-{digest}.arrow"


def load(path: Path) -> RequestTrace | None:
    """The trace kept in `path` as views of the mapped file, or None if there is none (or it is damaged)."""
    if not path.is_file():
        return None
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.memory_map(str(path))) as file:
            batch = file.get_batch(0)
            provenance = Provenance.from_dict(json.loads(file.schema.metadata[b"evictlab"]))
        key = batch.column("key")
        columns = {name: batch.column(NAMES[name]).to_numpy() for name in COLUMNS if NAMES[name] in batch.schema.names}
        keys = key.dictionary
        if not pa.types.is_large_string(keys.type):
            keys = keys.to_numpy()
        trace = RequestTrace(key.indices.to_numpy(), len(keys), key_source=keys, provenance=provenance, **columns)
    except (pa.ArrowException, OSError, KeyError, ValueError):
        with suppress(OSError):
            path.unlink()
        return None
    with suppress(OSError):
        os.utime(path)
    return trace


def save(trace: RequestTrace, path: Path) -> None:
    """Write the trace to `path`, whole or not at all, and make room for it.

    Raises
    ------
    SpillError
        The disk is full, or the folder cannot be written.
    """
    import pyarrow as pa

    columns = {name: c for name in COLUMNS if (c := getattr(trace, name)) is not None}
    keys = trace.keys
    arrays = [pa.DictionaryArray.from_arrays(pa.array(trace.ids), pa.array(keys), safe=False)]
    arrays += [pa.array(column.view(np.ndarray)) for column in columns.values()]
    schema = pa.schema(
        [("key", arrays[0].type), *((NAMES[name], pa.from_numpy_dtype(DTYPES[name])) for name in columns)],
        metadata={"evictlab": json.dumps(trace.provenance.to_dict(), default=str)},
    )
    temporary = path.with_name(f"growing-{uuid.uuid4().hex}.arrow")
    try:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
        temporary.replace(path)
    except (OSError, pa.ArrowException) as error:
        with suppress(OSError):
            temporary.unlink()
        raise SpillError(str(error)) from error
    prune(path)


@contextmanager
def growing_folder() -> Iterator[Path]:
    """A temporary folder beside the kept traces; it is gone afterwards.

    Raises
    ------
    SpillError
        It cannot be made.
    """
    try:
        place = Path(tempfile.mkdtemp(dir=folder(), prefix="growing-"))
    except OSError as error:
        raise SpillError(str(error)) from error
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def prune(newest: Path) -> None:
    """Delete the traces unused for longest until the folder is within its limit; `newest` stays.

    Raises
    ------
    UnitError
        ``$EVICTLAB_CACHE_MAX`` is no number of bytes.
    """
    limit_bytes = parse_size(os.environ.get("EVICTLAB_CACHE_MAX", "20GiB")).value
    kept: list[tuple[float, int, Path]] = []
    for path in newest.parent.iterdir():
        with suppress(OSError):  # another process may have deleted it meanwhile
            facts = path.stat()
            if path.name.startswith("growing-"):
                if time.time() - facts.st_mtime > ABANDONED_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif path.suffix == ".arrow":
                kept.append((facts.st_mtime, facts.st_size, path))
    total_bytes = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
        if total_bytes > limit_bytes and path != newest:
            with suppress(OSError):
                path.unlink()
                total_bytes -= size
