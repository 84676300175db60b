"""From batches of keys to one trace with dense ids: normalise, number, join."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .batch import Batch
from .columns import GrowingColumn
from .densify import Densifier
from .normalise import COLUMNS, normalise
from .provenance import Provenance
from .request import DTYPES, RequestTrace

__all__ = ["assemble"]


def assemble(batches: Iterable[Batch], provenance: Provenance, folder: Path | None = None) -> RequestTrace:
    """Join batches into one trace.

    Parameters
    ----------
    batches : iterable of Batch
        From readers or selections, not yet normalised.
    provenance : Provenance
        Its account counts what is dropped and repaired.
    folder : Path, optional
        Where long columns are kept while they grow; without it they stay in memory.

    Raises
    ------
    TraceError
        No request is left, or the batches do not fit together.
    """
    densifier = Densifier()
    columns: dict[str, GrowingColumn] = {}

    def add(name: str, dtype: Any, values: Any) -> None:
        if name not in columns:
            columns[name] = GrowingColumn(dtype, folder and folder / name)
        columns[name].append(values)

    try:
        for batch in normalise(batches, provenance.account):
            add("ids", np.int32, densifier(batch.keys))
            for name in COLUMNS:
                if (values := getattr(batch, name)) is not None:
                    add(name, DTYPES[name], values)
    finally:
        for column in columns.values():
            column.close()
    arrays = {name: column.finish() for name, column in columns.items()}
    ids = arrays.pop("ids", np.empty(0, np.int32))
    return RequestTrace(ids, densifier.n_objects, key_source=densifier.keys(), provenance=provenance, **arrays)
