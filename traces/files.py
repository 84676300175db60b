"""Which files a user means: paths, ``format:path``, and patterns that the shell did not expand."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError
from .readers import FORMATS

__all__ = ["Place", "Sources", "expand", "places"]

Sources = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Place:
    """A trace file, and the format that the user named, or ``""``."""

    path: Path
    format: str = ""

    def __str__(self) -> str:
        return f"{self.format}:{self.path}" if self.format else str(self.path)


def expand(source: Sources) -> list[str]:
    """As `places`, each written as the user would: ``"path"`` or ``"format:path"``."""
    return [str(place) for place in places(source)]


def places(source: Sources) -> list[Place]:
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
    named = [source] if isinstance(source, (str, Path)) else list(source)
    if not named:
        raise UsageError("no trace is named")
    return [place for name in named for place in _matching(name)]


def _matching(place: str | Path) -> list[Place]:
    path, name = Path(place), ""
    prefix, colon, rest = str(place).partition(":")
    if colon and not path.exists() and prefix.lower().replace("-", "_") in FORMATS:
        path, name = Path(rest), prefix
    if path.is_dir():
        if (path / "manifest.json").is_file():
            raise UsageError(f"{path} is an attention trace; see: evictlab attention info {path}")
        raise UsageError(f"{path} is a folder; name its files, for example '{path / '*'}'")
    if path.exists() or not glob.has_magic(str(path)):
        return [Place(path, name)]
    matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
    if files := sorted(file for file in matches if file.is_file()):
        return [Place(file, name) for file in files]
    folder = path.parent
    if not glob.has_magic(str(folder)) and not folder.is_dir():
        raise UsageError(f"no file matches '{path}': there is no folder '{folder}'")
    raise UsageError(f"no file in '{folder}' matches {path.name!r}")
