"""Trace files of any known format as batches of columns.

>>> reader = open_reader("web12.trace.xz")            # told by its content
>>> reader = open_reader("cloudphysics:w106.xz")      # told by you
>>> for batch in reader.batches():
...     batch.keys, batch.sizes
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import UnknownNameError
from .base.reader import BATCH_RECORDS, Reader
from .base.registry import FORMATS, FormatSpec
from .base.sniff import detect
from .base.source import Source

__all__ = ["BATCH_RECORDS", "FORMATS", "READER_VERSION", "FormatSpec", "Reader", "formats", "open_reader"]

READER_VERSION = 3
"""Goes up when a reader makes different requests of the same file; cached ids are then made anew."""


def open_reader(source: str | Path, **options: Any) -> Reader:
    """Return a reader for a trace file.

    Parameters
    ----------
    source : str or Path
        A path, or ``format:path``. Without a format the content decides. A path that
        exists is never taken for ``format:path``.
    **options
        Of the format (see its reader's ``OPTIONS``). Numbers may be text.

    Returns
    -------
    Reader
        Nothing but the start of the file has been read yet.

    Raises
    ------
    FormatError
        No such file, empty, damaged, or in no known format or several.
    UnknownNameError
        There is no such format or option.
    """
    name, path = _split(source)
    content = Source(path)
    spec = FORMATS[name] if name else detect(content)
    return spec.reader(content, **options)


def formats() -> list[FormatSpec]:
    """Return all formats in the order of their names, one row each for a table."""
    return list(FORMATS.values())


def _split(source: str | Path) -> tuple[str, Path]:
    text = str(source)
    prefix, colon, rest = text.partition(":")
    if isinstance(source, Path) or not colon or Path(text).exists():
        return "", Path(source)
    name = prefix.lower().replace("-", "_")
    if name in FORMATS:
        return name, Path(rest)
    if re.fullmatch(r"\w[\w-]+", prefix) and Path(rest).exists():
        raise UnknownNameError("format", prefix, FORMATS, "See: evictlab trace formats")
    return "", Path(source)
