"""Safetensors files: written by the package of that name, read through a memory map so that opening costs nothing.

The map is ours because NumPy has no bfloat16 and the package would copy: bfloat16 comes as uint16 bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError, MissingExtraError

__all__ = ["read_metadata", "read_tensors", "write_tensors"]

NUMPY = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}
"""Number types of the format, as NumPy holds them."""


def read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Map the tensors of a file, by name; read-only, and no data is read yet.

    Raises
    ------
    FormatError
        The file is missing, cut off, or no safetensors file.
    MissingExtraError
        The package safetensors is not installed.
    """
    header, start = _header(path)
    mapped = np.memmap(path, dtype=np.uint8, mode="r")
    found: dict[str, npt.NDArray[Any]] = {}
    for name, facts in header.items():
        if name == "__metadata__":
            continue
        if facts["dtype"] not in NUMPY:
            raise FormatError(path, f"{name} has the number type {facts['dtype']!r}, which no attention trace uses")
        first, _ = facts["data_offsets"]
        found[name] = np.ndarray(tuple(facts["shape"]), NUMPY[facts["dtype"]], mapped, start + first)
    return found


def read_metadata(path: Path) -> dict[str, str]:
    """What the file says about itself; raises as `read_tensors`."""
    return dict(_header(path)[0].get("__metadata__", {}))


def write_tensors(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write a file; bfloat16 bits are written as the uint16 they are held in (the manifest says what they mean)."""
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise MissingExtraError("writing an attention trace", "attention") from error
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the data starts; the package has checked it against the file's length by then."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError(f"reading {path.name}", "attention") from error
    try:
        with safe_open(path, framework="np"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            return json.loads(file.read(length)), 8 + length
    except FileNotFoundError as error:
        raise FormatError(path, "is missing", hint="Copy the whole folder again, or record the trace again.") from error
    except SafetensorError as error:
        size = path.stat().st_size
        raise FormatError(
            path,
            f"is no whole safetensors file ({error}; it has {size:,} bytes)",
            hint="It may be cut off: copy it again.",
        ) from error
    except OSError as error:
        raise FormatError(path, f"cannot be read: {error.strerror or error}") from error
