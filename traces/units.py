"""Sizes and durations as people write them, and back.

A size always says what it counts: ``25MB``, ``1GiB``, ``10%``, ``5000obj``. A
bare number is refused, because 100 objects, 100 bytes and 100 % are all likely.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from .errors import UnitError

__all__ = ["Size", "format_bytes", "format_count", "format_duration", "parse_duration", "parse_size"]

BYTES = {
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", start=1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", start=1)},
}
"""Bytes per unit, by the unit in lower case."""

OBJECTS = {"obj": 1, "kobj": 1000, "mobj": 1_000_000, "gobj": 1_000_000_000}
"""Objects per unit, by the unit in lower case."""

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
"""Seconds per unit."""

_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Size:
    """An amount of cache, together with what it counts.

    Attributes
    ----------
    value : int or float
        Bytes or objects as int, or a fraction of the footprint above 0.
    kind : {"bytes", "objects", "fraction"}
    label : str
        The text as it was written, for tables and plots.
    """

    value: int | float
    kind: Literal["bytes", "objects", "fraction"]
    label: str

    def __str__(self) -> str:
        return self.label


def parse_size(text: str) -> Size:
    """Read ``25MB``, ``1GiB``, ``10%`` (of the footprint) or ``5000obj``.

    Parameters
    ----------
    text : str
        A positive number and a unit: B, kB ... PB (powers of 1000), KiB ... PiB
        (powers of 1024), obj, kobj, Mobj, or %. Upper and lower case are alike.

    Raises
    ------
    UnitError
        No unit, an unknown unit, or less than one byte or object.
    """
    number, unit = _split(text, "size", "100obj, 100B or 100%")
    if unit == "":
        raise UnitError(f"size {text!r} has no unit: {text}obj, {text}B or {text}%?")
    label = text.strip()
    if unit == "%":
        if not 0 < number < math.inf:
            raise UnitError(f"size {text!r} must be above 0 %, for example 10%")
        return Size(number / 100, "fraction", label)
    for kind, table in (("bytes", BYTES), ("objects", OBJECTS)):
        if unit.lower() in table:
            value = number * table[unit.lower()]
            if not 1 <= value < 2**62:
                what = "byte" if kind == "bytes" else "object"
                raise UnitError(f"size {text!r} must be at least 1 {what} (and below 2^62)")
            return Size(round(value), "bytes" if kind == "bytes" else "objects", label)
    hint = ""
    if unit.lower() in ("k", "m", "g", "t", "p"):
        hint = f" Bytes are {unit}B or {unit}iB."
    raise UnitError(f"size {text!r} has the unknown unit {unit!r}; known: B, KB, MiB, GiB, ..., obj, %.{hint}")


def parse_duration(text: str) -> float:
    """Read ``10min``, ``60s``, ``2h``, ``500ms`` or ``1d`` as seconds.

    Raises
    ------
    UnitError
        No unit, an unknown unit, or a negative duration.
    """
    number, unit = _split(text, "duration", "60s, 10min or 2h")
    if unit == "":
        raise UnitError(f"duration {text!r} has no unit: {text}s, {text}min or {text}h?")
    if unit.lower() not in SECONDS:
        raise UnitError(f"duration {text!r} has the unknown unit {unit!r}; known: {', '.join(SECONDS)}")
    if not 0 <= number < math.inf:
        raise UnitError(f"duration {text!r} must not be negative")
    return number * SECONDS[unit.lower()]


def _split(text: str, what: str, examples: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UnitError(f"{what} {text!r} is not a number with a unit, such as {examples}")
    return float(match.group(1)), match.group(2)


def format_bytes(n_bytes: float) -> str:
    """Bytes for people, in powers of 1024: ``format_bytes(1536)`` is ``'1.5 KiB'``."""
    return _scaled(n_bytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), " ")


def format_count(n: float) -> str:
    """A count for people: ``format_count(1_234_567)`` is ``'1.23M'``."""
    return _scaled(n, 1000, ("", "k", "M", "G", "T"), "")


def format_duration(seconds: float) -> str:
    """A duration for people, in its largest fitting unit: ``format_duration(5400)`` is ``'1.5 h'``."""
    if not math.isfinite(seconds):
        return str(seconds)
    for unit in ("d", "h", "min", "s", "ms"):
        if abs(seconds) >= SECONDS[unit]:
            return f"{_short(seconds / SECONDS[unit])} {unit}"
    return "0 s" if seconds == 0 else f"{_short(seconds / SECONDS['us'])} us"


def _scaled(value: float, base: int, units: tuple[str, ...], space: str) -> str:
    if not math.isfinite(value):
        return str(value)
    rank = 0
    # 999.6 is shown as "1000": the next unit says it better.
    while rank + 1 < len(units) and round(abs(value)) >= base:
        value, rank = value / base, rank + 1
    return f"{_short(value)}{space}{units[rank]}".rstrip()


def _short(value: float) -> str:
    """At most three digits after the leading ones, without trailing zeros."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"
