"""From batches of keys to one trace with dense ids: normalise, number, join."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .batch import Account, Batch
from .columns import FileColumn, MemoryColumn
from .densify import Densifier
from .given import DTYPES
from .normalise import COLUMNS, normalise
from .provenance import Provenance
from .request import RequestTrace

__all__ = ["assemble", "number"]

Column = MemoryColumn | FileColumn


def number(
    batches: Iterable[Batch], account: Account, columns: dict[str, Any], new: Callable[[str, Any], Column]
) -> Any:
    """Number the keys of all batches and append everything to `columns`.

    Parameters
    ----------
    batches : iterable of Batch
        From readers or selections; normalised here (once more does no harm).
    account : Account
        Counts what is dropped and repaired.
    columns : dict of str to column
        Filled: ``"ids"`` and the names of `COLUMNS` that are present.
    new : callable (name, dtype) -> column
        Called when a column is first seen.

    Returns
    -------
    uint64[n_objects] or pyarrow string array
        The key of each id.

    Raises
    ------
    TraceError
        The batches do not fit together.
    """
    densifier = Densifier()
    for batch in normalise(batches, account):
        values = {name: getattr(batch, name) for name in COLUMNS}
        values["ids"] = densifier(batch.keys)
        for name, column in values.items():
            if column is not None:
                if name not in columns:
                    columns[name] = new(name, DTYPES[name])
                columns[name].append(column)
    return densifier.keys()


def assemble(batches: Iterable[Batch], provenance: Provenance) -> RequestTrace:
    """Join batches into one trace in memory.

    Parameters
    ----------
    batches : iterable of Batch
    provenance : Provenance
        Its account counts what is dropped and repaired.

    Raises
    ------
    TraceError
        No request is left, or the batches do not fit together.
    """
    columns: dict[str, MemoryColumn] = {}
    keys = number(batches, provenance.account, columns, lambda _, dtype: MemoryColumn(dtype))
    arrays = {name: column.finish() for name, column in columns.items()}
    ids = arrays.pop("ids", np.empty(0, np.int32))
    return RequestTrace(ids, len(keys), key_source=keys, provenance=provenance, **arrays)
