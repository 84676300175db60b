"""Which files are parts of one access log that was rotated: ``access.log``, ``access.log.1``, ``access.log.2.gz``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["join_rotated"]

_ROTATION = re.compile(r"(?:[.-]\d{1,4}|[.-]\d{4}-?\d\d-?\d\d(?:[.-]\d+)?)?(?:\.(?:gz|zst|zstd|xz|bz2))?$")
"""What logrotate adds to the name of a log: a number or a date, and the suffix of a compression."""


def join_rotated(places: Sequence[str], *, logs_only: bool = False) -> dict[str, list[str]]:
    """Put the files of each rotated access log together.

    Parameters
    ----------
    places : sequence of str
        Files and generators as a user names them, each once.
    logs_only : bool
        All files are access logs, although their contents may not tell.

    Returns
    -------
    dict of str to list of str
        Name of the log, or of the only file, to its files, in the order of `places`. Files that differ only in what
        rotation adds to their names belong together if those whose contents tell are access logs.
    """
    groups: dict[str, list[str]] = {}
    for place in places:
        groups.setdefault(_ROTATION.sub("", place), []).append(place)
    rotated = {
        name
        for name, files in groups.items()
        if len(files) > 1 and (logs_only or {_format_of(file) for file in files} - {""} == {"access_log"})
    }
    logs: dict[str, list[str]] = {}
    for place in places:
        name = _ROTATION.sub("", place)
        if name in rotated:
            logs[name] = groups[name]
        else:
            logs[place] = [place]
    return logs


def _format_of(place: str) -> str:
    """The format of a file, or ``""`` where nothing tells: an empty one, say."""
    from ..traces.errors import FormatError
    from ..traces.readers import FORMATS
    from ..traces.readers.base.sniff import detect
    from ..traces.readers.base.source import Source

    prefix, colon, _ = place.partition(":")
    if colon and not Path(place).exists() and prefix.replace("-", "_") in FORMATS:
        return prefix.replace("-", "_")
    try:
        return detect(Source(place)).name
    except FormatError:  # whoever opens it will say so
        return ""
