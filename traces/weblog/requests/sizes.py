"""How large objects are, from what a log shows of them: whole bodies, parts, or nothing.

A log says how much was sent, not how much is stored. The size of an object is the largest
body of a complete 200 within an epoch (a day, say, because objects change), unless a header
states it. Answers without a body (304, HEAD), with a part of it (206), or cut off (499) take
it from the others; where no whole body was ever sent, from the largest part; where nothing
was, from the median of the objects that are known. All of that counts as imputed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .nearest import by_group, nearest_value

__all__ = ["SOURCES", "Evidence", "Sizes", "sizes_of"]

SOURCES = ("from earlier responses", "from later responses", "the largest part seen", "the median of known objects")
"""Where imputed sizes come from."""


class Evidence(NamedTuple):
    """What the lines show, int64[n] each, bytes; -1 is nothing.

    Attributes
    ----------
    own : int64[n]
        Of an answer that is an object of its own: a redirect, an error.
    stated : int64[n]
        A header says how large the object is.
    whole : int64[n]
        Body of a 200 that should be complete.
    part : int64[n]
        At least so large.
    """

    own: npt.NDArray[np.int64]
    stated: npt.NDArray[np.int64]
    whole: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]


class Sizes(NamedTuple):
    """A size for each request.

    Attributes
    ----------
    n_bytes : int64[n]
    known : bool[n]
        The line itself shows it.
    imputed : dict of str to int
        Requests by `SOURCES`.
    """

    n_bytes: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]
    imputed: dict[str, int]


def sizes_of(ids: npt.NDArray[np.int32], epochs: npt.NDArray[np.int64], evidence: Evidence) -> Sizes | None:
    """Give each request the size of its object.

    Parameters
    ----------
    ids : int32[n]
        Object of each request, in the order of arrival.
    epochs : int64[n]
    evidence : Evidence

    Returns
    -------
    Sizes or None
        None if there is no evidence about any object.
    """
    own, stated, whole, part = evidence
    order = by_group(ids, epochs)
    keys, spans = ids[order], epochs[order]
    starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]) | (spans[1:] != spans[:-1])])
    rows = np.diff(np.r_[starts, len(order)])

    shown = np.maximum(stated, whole)[order]
    best = np.maximum.reduceat(shown, starts)
    of_part = np.maximum.reduceat(part[order], starts)
    group_keys = keys[starts]
    found, came_from = nearest_value(group_keys, best, best >= 0)
    # A part that is larger than the whole of another day: the object has grown.
    found = np.maximum(found, of_part)
    never_whole = (came_from == 2) & (found >= 0)
    nothing = found < 0
    if never_whole.any() or nothing.any():
        found, never_whole, nothing = _without_whole(group_keys, found, came_from == 2)

    size = np.repeat(found, rows)
    here = np.repeat(came_from == 0, rows)
    first_shown = np.minimum.reduceat(
        np.where(shown == np.repeat(best, rows), np.arange(len(order)), len(order)), starts
    )
    before = np.arange(len(order)) < np.repeat(first_shown, rows)
    sources = np.select(
        [np.repeat(nothing, rows), np.repeat(never_whole, rows), here & before, here],
        [3, 2, 1, 0],
        np.repeat((came_from == 1).astype(np.int64), rows),
    )

    n_bytes, source = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    n_bytes[order], source[order] = size, sources
    n_bytes = np.where(own >= 0, own, np.where(stated >= 0, stated, n_bytes))
    known = (own >= 0) | (stated >= 0) | ((whole >= 0) & (whole == n_bytes))
    blank = n_bytes < 0
    if blank.any():
        if not known.any():
            return None
        n_bytes[blank] = _median_object(ids[known], n_bytes[known])
    counts = np.bincount(source[~known], minlength=len(SOURCES))
    return Sizes(n_bytes, known, {name: int(n) for name, n in zip(SOURCES, counts, strict=True) if n})


def _without_whole(
    keys: npt.NDArray[np.int32], found: npt.NDArray[np.int64], never: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Objects of which no whole body was seen: the largest part of any day."""
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    largest = np.repeat(np.maximum.reduceat(found, starts), np.diff(np.r_[starts, len(keys)]))
    found = np.where(never, largest, found)
    return found, never & (found >= 0), found < 0


def _median_object(ids: npt.NDArray[np.int32], n_bytes: npt.NDArray[np.int64]) -> int:
    order = np.argsort(ids, kind="stable")
    starts = np.flatnonzero(np.r_[True, ids[order][1:] != ids[order][:-1]])
    return int(np.median(np.maximum.reduceat(n_bytes[order], starts)))
