"""Text fields as numbers: which spellings are valid, and their columns.

Each kind of field has a pattern (RE2 and Python both read it) and an Arrow type.
Text that matches the pattern always converts, overflow included; that is what
makes "unreadable" exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["KINDS", "Kind", "arrow_type", "from_text", "is_hollow", "numpy_column"]


def _up_to(limit: int) -> str:
    """Pattern of the decimal numbers 0..limit, with leading zeros."""
    digits = str(limit)
    ways = [rf"[0-9]{{1,{len(digits) - 1}}}", digits]
    for i, digit in enumerate(digits):
        if digit > "0":
            ways.append(f"{digits[:i]}[0-{int(digit) - 1}][0-9]{{{len(digits) - i - 1}}}")
    return f"0*(?:{'|'.join(ways)})"


_INT = rf"(?:{_up_to(2**63 - 1)}|-{_up_to(2**63)})"
_HEX = r"0[xX][0-9a-fA-F]{1,16}"
_FLOAT = r"[-+]?(?:[0-9]{1,40}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?"
_ANY_FLOAT = r"^[-+]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|(?i:nan|inf|infinity))$"
"""All that Arrow's CSV parser takes for a real number."""


@dataclass(frozen=True)
class Kind:
    """How a field is spelt and stored.

    Attributes
    ----------
    pattern : str or None
        None stands for "anything up to the delimiter".
    arrow : str
        Name of the Arrow type, or ``"word"`` for text with few distinct values.
    """

    pattern: str | None
    arrow: str


KINDS = {
    "int": Kind(_INT, "int64"),
    "size": Kind(rf"{_INT}(?:\.0*)?", "int64"),
    "float": Kind(_FLOAT, "float64"),
    "loose": Kind(None, "float64"),
    "key": Kind(rf"(?:{_HEX}|{_up_to(2**64 - 1)}|-{_up_to(2**63)})", "uint64"),
    "text": Kind(None, "string"),
    "line": Kind(".+", "string"),
    "word": Kind(None, "word"),
}
"""Kinds of fields: signed number, byte count (``512.0`` is one), real number, real number or else nothing (what is
no number counts as missing, not as damage), object number, text, text that may hold delimiters, one of few words."""


def arrow_type(kind: str, signed: bool = False) -> Any:
    """Return the Arrow type that a field of that kind is parsed to; `signed` is for keys."""
    import pyarrow as pa

    name = "int64" if signed and kind == "key" else KINDS[kind].arrow
    return pa.dictionary(pa.int32(), pa.string()) if name == "word" else getattr(pa, name)()


def from_text(column: Any, kind: str) -> Any:
    """Convert captured text (Arrow binary, all of it matching the kind's pattern, or null).

    Returns
    -------
    pyarrow array of `arrow_type`
        Negative keys become their uint64 bit pattern.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    text = _valid_utf8(column)
    if kind == "size":
        text = pc.replace_substring_regex(text, r"\.0*$", "")
    if kind == "key":
        negative = pc.starts_with(text, "-")
        if pc.any(negative).as_py():
            below = pc.cast(pc.if_else(negative, text, "0"), pa.int64())
            above = pc.cast(pc.if_else(negative, "0", text), pa.uint64())
            return pc.if_else(negative, below.view(pa.uint64()), above)
    if KINDS[kind].arrow == "string":
        return text
    if kind == "word":
        return text.dictionary_encode()
    if kind == "loose":
        text = pc.utf8_trim(text, characters=" \t")
        text = pc.if_else(pc.match_substring_regex(text, _ANY_FLOAT), text, "")
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return pc.cast(pc.utf8_ltrim(text, characters="+") if kind in ("float", "loose") else text, arrow_type(kind))


def _valid_utf8(column: Any) -> Any:
    """Spell bytes that are not UTF-8 in hexadecimal, so that different keys stay different."""
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        values = column.to_pylist()
        return pa.array([None if v is None else v.decode("utf-8", "backslashreplace") for v in values])


def is_hollow(column: Any, kind: str) -> bool:
    """Whether a parsed column lacks a value, or holds what only looks like one (``nan``)."""
    import pyarrow.compute as pc

    if column.null_count:
        return True
    if kind == "float":
        return not pc.all(pc.is_finite(column)).as_py()
    return KINDS[kind].arrow == "string" and bool(pc.any(pc.equal(column, "")).as_py())


def numpy_column(column: Any, missing: float = 0) -> npt.NDArray[Any]:
    """Return an Arrow column of numbers as a writable-or-not NumPy array, nulls as `missing`."""
    if column.null_count:
        column = column.fill_null(missing)
    return np.asarray(column.to_numpy())
