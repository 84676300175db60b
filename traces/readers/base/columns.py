"""Which column of a table is the key, the time, the size: by name, by number, or by a usual name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import FormatError, UnknownNameError, UsageError
from .values import KINDS

__all__ = ["ROLES", "ROLE_OPTIONS", "assign", "key_kind", "time_scale"]

ROLES = {
    "key": "key obj_id object_id objid object cache_key id url uri request_uri block_id block lbn lba page_id page "
    "address addr item_id item doc_id content_id",
    "time": "time_s timestamp time clock_time op_time ts time_ms timestamp_ms time_us timestamp_us time_ns "
    "timestamp_ns",
    "size": "size obj_size object_size size_bytes bytes content_length io_size value_size",
    "op": "op operation op_name",
    "ttl": "ttl_s ttl",
    "cost": "cost_s cost",
    "prediction": "prediction predicted",
    "known": "size_known",
    "logged": "cache_status upstream_cache_status",
}
"""Usual column names of each role, the likeliest first."""

ROLE_OPTIONS = {
    "key": "column of the object: its name, or its number from 1",
    "time": "column of the time, or none",
    "size": "column of the size in bytes, or none",
    "op": "column of the operation, or none",
    "ttl": "column of the time to live in seconds, or none",
    "cost": "column of the seconds a miss takes, or none",
    "prediction": "column of a prediction (a bit, or the index of the next request), or none",
    "known": "column that says whether the size was seen (true) or concluded from others (false), or none",
    "logged": "column of what the real cache answered (HIT, MISS, EXPIRED ...), or none",
    "time_unit": "unit of the time: s (default), ms, us or ns",
}
"""Options of every reader with named columns."""

_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_CANONICAL = re.compile(r"-?0|0[xX].*|-?[1-9].*"), re.compile(KINDS["key"].pattern or "")


def assign(path: Path, columns: Sequence[str], options: Mapping[str, Any]) -> dict[str, int]:
    """Return the position, from 0, of the column for each role that the table has.

    Parameters
    ----------
    path : Path
        For messages.
    columns : sequence of str
        Names in order; where a table has none, pass empty ones.
    options : mapping
        Role to column name or number from 1, or ``"none"``.

    Raises
    ------
    UnknownNameError, UsageError
        A named column, or column number, does not exist.
    FormatError
        No column is the key.
    """
    names = [name.strip().lower() for name in columns]
    found: dict[str, int] = {}
    for role in ROLES:
        wanted = str(options.get(role, "none"))
        if wanted.lower() != "none":
            position = _position(path, role, wanted, names)
            if position in found.values():
                raise UsageError(f"{path}: column {wanted} cannot be both {role} and something else")
            found[role] = position
    for role, usual in ROLES.items():
        if role not in options:
            free = (names.index(name) for name in usual.split() if name in names)
            position = next((place for place in free if place not in found.values()), -1)
            if position >= 0:
                found[role] = position
    if "key" not in found:
        shown = f"(columns: {', '.join(columns)})" if any(names) else "(it has no column names)"
        raise FormatError(path, f"no column names the object {shown}", hint="Say which: key=NAME or key=NUMBER.")
    return found


def _position(path: Path, role: str, wanted: str, names: Sequence[str]) -> int:
    if wanted.lower() in names:
        return names.index(wanted.lower())
    if not wanted.isdecimal():
        raise UnknownNameError("column", wanted, names, f"Columns of {path}: {', '.join(names)}.")
    if not 1 <= int(wanted) <= len(names):
        raise UsageError(f"{path}: {role}={wanted}, but columns are numbered 1 to {len(names)}")
    return int(wanted) - 1


def time_scale(name: str, options: Mapping[str, Any]) -> float:
    """Return the seconds per unit of a time column, by option or by the ending of its name."""
    unit = str(options.get("time_unit") or name.lower().rpartition("_")[2])
    if "time_unit" in options and unit not in _UNITS:
        raise UnknownNameError("time unit", unit, _UNITS)
    return _UNITS.get(unit, 1.0)


def key_kind(values: Iterable[str], wanted: str = "auto") -> str:
    """Return ``"key"`` (integers) or ``"text"`` for a column of keys.

    Integers need every sampled key to be one, decimal without leading zeros or
    ``0x`` hexadecimal, so that ``1`` and ``01`` are not taken for the same object.

    Parameters
    ----------
    values : iterable of str
        Keys from the start of the file, and from later on where that is cheap.
    wanted : {"auto", "int", "text"}
    """
    if wanted not in ("auto", "int", "text"):
        raise UnknownNameError("key type", wanted, ("auto", "int", "text"))
    if wanted != "auto":
        return {"int": "key", "text": "text"}[wanted]
    return "key" if all(_is_number(value.strip()) for value in values if value.strip()) else "text"


def _is_number(text: str) -> bool:
    return all(pattern.fullmatch(text) for pattern in _CANONICAL)
