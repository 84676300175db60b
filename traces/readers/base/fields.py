"""Columns of parsed fields, as format files receive them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Columns", "Words", "length", "take"]

Columns = dict[str, Any]
"""Field name to NumPy array (numbers), `Words` (few distinct words) or Arrow string array (text)."""


class Words(NamedTuple):
    """A column of few distinct texts: ``texts[codes[i]]``; -1 is an empty field, the last text is ``""``."""

    codes: npt.NDArray[np.int32]
    texts: list[str]


def length(columns: Columns) -> int:
    """Return the number of rows."""
    first = next(iter(columns.values()))
    return len(first.codes) if isinstance(first, Words) else len(first)


def take(columns: Columns, rows: Any) -> Columns:
    """Return some rows of all columns, by a slice, a mask or row numbers."""
    return {name: _rows(column, rows) for name, column in columns.items()}


def _rows(column: Any, rows: Any) -> Any:
    if isinstance(column, Words):
        return Words(column.codes[rows], column.texts)
    if isinstance(rows, slice) or isinstance(column, np.ndarray):
        return column[rows]
    return column.filter(rows) if rows.dtype == bool else column.take(rows)
