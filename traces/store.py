"""Numbered traces kept on disk, so that a trace is read and numbered once.

A trace is a folder: one ``.npy`` file per column (``ids``, ``sizes``, ``times``
...), its keys as ``keys.npy`` or, if they are strings, as the Arrow file
``keys.arrow``, and ``trace.json`` with the provenance. Columns are written batch
by batch, so that a trace may be larger than memory, and mapped as a whole:
loading copies nothing, and pages that are not used are never read.

Why a file per column: Arrow's IPC file can be mapped as one array per column
only if it is a single record batch, which cannot be written piece by piece.

All folders together are limited to ``$EVICTLAB_CACHE_MAX`` (default 20 GiB);
the traces that were not used for longest go first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .assemble import number
from .batch import Batch
from .columns import FileColumn, StoreError, stored
from .errors import EvictlabError, TraceError
from .home import cache_home
from .provenance import Provenance
from .request import RequestTrace, no_requests
from .units import parse_size

__all__ = ["entry", "keep", "load", "prune"]

LAYOUT = 2
"""Part of the name of every entry; raised when the files change their meaning."""

ABANDONED_S = 86400.0
"""A temporary folder this old was left by a process that was killed."""

GROWING = "growing-"
"""How the names of temporary folders begin."""


def entry(facts: dict[str, Any], label: str) -> Path:
    """Name the folder that holds, or would hold, the trace described by `facts`.

    Parameters
    ----------
    facts : dict
        Everything that determines the trace: sources with size and time of change,
        options, selection, version of the readers.
    label : str
        A readable beginning for the name.
    """
    text = json.dumps({"layout": LAYOUT, **facts}, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    readable = "".join(c if c.isalnum() or c in "._" else "_" for c in label)[:60]
    return cache_home() / "traces" / f"{readable}-{digest}"


def load(path: Path) -> RequestTrace | None:
    """Map the trace kept in the folder `path`; None if there is none, or if it is damaged."""
    if not path.is_dir():
        return None
    try:
        facts = json.loads((path / "trace.json").read_text(encoding="utf-8"))
        columns = {name: _mapped(path / f"{name}.npy") for name in facts["columns"]}
        trace = RequestTrace(
            n_objects=facts["n_objects"],
            key_source=_KeptKeys(path),
            provenance=Provenance.from_dict(facts["provenance"]),
            **columns,
        )
    except (OSError, KeyError, ValueError, EvictlabError):
        shutil.rmtree(path, ignore_errors=True)
        return None
    with suppress(OSError):
        os.utime(path)
    return trace


def keep(path: Path, batches: Iterable[Batch], provenance: Provenance) -> None:
    """Number the keys of `batches` and keep the trace in the folder `path`, whole or not at all.

    Parameters
    ----------
    path : Path
        From `entry`.
    batches : iterable of Batch
    provenance : Provenance
        Its account counts what is dropped and repaired.

    Raises
    ------
    StoreError
        The disk is full, or the folder cannot be written.
    TraceError
        No request is left, or the batches do not fit together.
    """
    with stored():
        path.parent.mkdir(parents=True, exist_ok=True)
        growing = Path(tempfile.mkdtemp(dir=path.parent, prefix=GROWING))
    columns: dict[str, FileColumn] = {}
    try:
        keys = number(
            batches, provenance.account, columns, lambda name, dtype: FileColumn(dtype, growing / f"{name}.npy")
        )
        if not columns:
            raise no_requests(provenance)
        for column in columns.values():
            column.finish()
        facts = {"columns": list(columns), "n_objects": len(keys), "provenance": provenance.to_dict()}
        with stored():
            _write_keys(growing, keys)
            (growing / "trace.json").write_text(json.dumps(facts, default=str), encoding="utf-8")
            try:
                growing.rename(path)
            except OSError:
                if not path.exists():  # or else another process was faster
                    raise
    finally:
        for column in columns.values():
            with suppress(StoreError):
                column.close()
        shutil.rmtree(growing, ignore_errors=True)
    prune(path)


def prune(newest: Path) -> None:
    """Delete the traces unused for longest until all are within the limit; `newest` stays.

    Raises
    ------
    UnitError
        ``$EVICTLAB_CACHE_MAX`` is no number of bytes.
    """
    limit_bytes = parse_size(os.environ.get("EVICTLAB_CACHE_MAX", "20GiB")).value
    kept: list[tuple[float, int, Path]] = []
    for folder in newest.parent.iterdir():
        with suppress(OSError):  # another process may have deleted it meanwhile
            used_s = folder.stat().st_mtime
            if not folder.name.startswith(GROWING):
                kept.append((used_s, sum(file.stat().st_size for file in folder.iterdir()), folder))
            elif time.time() - used_s > ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
    total_bytes = sum(size_bytes for _, size_bytes, _ in kept)
    for _, size_bytes, folder in sorted(kept):
        if total_bytes > limit_bytes and folder != newest:
            shutil.rmtree(folder, ignore_errors=True)
            total_bytes -= size_bytes


def _mapped(file: Path) -> Any:
    return np.asarray(np.load(file, mmap_mode="r"))


def _write_keys(folder: Path, keys: Any) -> None:
    if isinstance(keys, np.ndarray):
        np.save(folder / "keys.npy", keys)
        return
    import pyarrow as pa

    table = pa.record_batch({"key": keys})
    with pa.OSFile(str(folder / "keys.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_batch(table)


class _KeptKeys:
    """The keys of a kept trace, mapped when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> Any:
        try:
            if (file := self.folder / "keys.npy").exists():
                return _mapped(file)
            import pyarrow as pa

            with pa.ipc.open_file(pa.memory_map(str(self.folder / "keys.arrow"))) as arrow:
                return arrow.get_batch(0).column(0)
        except OSError:
            raise TraceError(f"the trace kept in {self.folder} was deleted meanwhile; open it again") from None
