"""Columns that a caller gives from memory: brought into their type, or refused with the first bad value."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .batch import LOGGED, OTHER
from .errors import TraceError

__all__ = ["DTYPES", "checked"]

DTYPES = {
    "ids": np.int32,
    "sizes": np.int64,
    "times": np.float64,
    "ttls": np.float32,
    "costs": np.float32,
    "ops": np.uint8,
    "predictions": np.float64,
    "known": np.bool_,
    "logged": np.uint8,
}
"""Data type of each column."""


def checked(name: str, values: Any, n: int) -> Any:
    """Bring a column into its type.

    Parameters
    ----------
    name : str
        A key of `DTYPES`.
    values : sequence of numbers, or None
    n : int
        The length it must have.

    Returns
    -------
    array of ``DTYPES[name]``, length n, or None

    Raises
    ------
    TraceError
        Another length, no numbers, negative where that makes no sense, a fraction of a byte, or no operation.
    """
    if values is None:
        return None
    raw = np.asarray(values)
    if raw.shape != (n,):
        raise TraceError(f"{name} has shape {raw.shape}, but there are {n:,} keys")
    if raw.dtype.kind not in "iufb":
        raise TraceError(f"{name} must be numbers, not {raw.dtype}")
    if name == "predictions":  # any number may be one, and NaN is one that is missing
        return np.ascontiguousarray(raw, dtype=DTYPES[name])
    if raw.dtype.kind == "f":
        _refuse(name, raw, np.isnan(raw), "is not a number")
    if name != "times":
        _refuse(name, raw, raw < 0, "is negative")
    if name == "ops":
        _refuse(name, raw, raw > OTHER, "is no operation: 0 get, 1 set, 2 delete, 3 other")
    if name == "logged":
        _refuse(name, raw, raw >= len(LOGGED), f"is no answer of a cache: 0 .. {len(LOGGED) - 1}, see LOGGED")
    if name == "sizes" and raw.dtype.kind == "f":
        _refuse(name, raw, raw != np.floor(raw), "is not a whole number of bytes")
    return np.ascontiguousarray(raw, dtype=DTYPES[name])


def _refuse(name: str, values: npt.NDArray[Any], bad: npt.NDArray[np.bool_], why: str) -> None:
    if bad.any():
        where = int(bad.argmax())
        raise TraceError(f"{name}[{where}] = {values[where]} {why}")
