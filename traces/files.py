"""Which files a user means: paths, ``format:path``, and patterns that the shell did not expand."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from .errors import UsageError
from .readers import FORMATS

__all__ = ["Sources", "expand"]

Sources = str | Path | Sequence[str | Path]


def expand(source: Sources) -> list[str]:
    """List the files that `source` names, with patterns replaced by what they match, in alphabetical order.

    Parameters
    ----------
    source : str or Path, or a sequence of them
        ``"a.csv"``, ``"format:path"``, ``"logs/*.csv"``, ``"format:logs/*.csv"``.

    Raises
    ------
    UsageError
        Nothing is named, no file matches, or a folder is named.
    """
    places = [source] if isinstance(source, (str, Path)) else list(source)
    if not places:
        raise UsageError("no trace is named")
    return [file for place in places for file in _expand_one(os.fspath(place))]


def _expand_one(place: str) -> list[str]:
    path = Path(place)
    prefix, colon, rest = place.partition(":")
    if path.exists() or not colon or prefix.replace("-", "_") not in FORMATS:
        prefix = ""
    else:
        prefix, path = prefix + colon, Path(rest)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name its files, for example '{path / '*'}'")
    if path.exists() or not glob.has_magic(str(path)):
        return [place]
    pattern = path.relative_to(path.anchor)
    if files := sorted(str(file) for file in Path(path.anchor).glob(str(pattern)) if file.is_file()):
        return [prefix + file for file in files]
    folder = path.parent
    if not glob.has_magic(str(folder)) and not folder.is_dir():
        raise UsageError(f"no file matches '{path}': there is no folder '{folder}'")
    raise UsageError(f"no file in '{folder}' matches {path.name!r}")
