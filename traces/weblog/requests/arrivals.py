"""When requests arrived. NGINX writes a line when a request ends, some with whole seconds only.

The arrival is the end less ``$request_time``. Stamps of whole seconds are spread first:
of m lines in one second the k-th, in the order of the file, ended k/m into it. Which order
they had is not known; `ties` changes it, so that its influence can be measured.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["SPREAD", "TIES", "UNREADABLE", "Arrivals", "arrivals"]

SPREAD = "one-second stamp -> spread within its second"
"""Why a time was mended, in the account of a trace."""

UNREADABLE = "time unreadable -> that of the line before"

LONGEST_S = 1e8
"""A duration of three years and more is none."""

TIES = ("order", "reverse", "shuffle")


class Arrivals(NamedTuple):
    """Arrival of each line.

    Attributes
    ----------
    times_s : float64[n]
        Unix seconds, of the lines as they stand.
    order : int64[n]
        The lines by arrival; equal times keep the order of the file.
    spread, unreadable : bool[n]
        Lines whose time was mended.
    backwards : int
        Lines that ended before one above them.
    largest_jump_s : float
        How far back, at most.
    """

    times_s: npt.NDArray[np.float64]
    order: npt.NDArray[np.int64]
    spread: npt.NDArray[np.bool_]
    unreadable: npt.NDArray[np.bool_]
    backwards: int
    largest_jump_s: float


def arrivals(
    end_s: npt.NDArray[np.float64],
    coarse: npt.NDArray[np.bool_],
    duration_s: npt.NDArray[np.float64] | None = None,
    *,
    ties: str = "order",
    seed: int = 0,
) -> Arrivals:
    """Return when the requests of a log arrived.

    Parameters
    ----------
    end_s : float64[n]
        Unix seconds of the end; NaN is unreadable, and at least one is readable.
    coarse : bool[n]
        The stamp has whole seconds only.
    duration_s : float64[n], optional
        NaN is unknown: such a request counts as instantaneous, as does one below 0 s or of `LONGEST_S` and more.
    ties : {"order", "reverse", "shuffle"}
        Order within a second of stamps without fractions.
    seed : int
        Of ``"shuffle"``.
    """
    known = np.isfinite(end_s)
    filled = _filled(end_s, known)
    latest = np.maximum.accumulate(filled)
    jumps = latest - filled
    spread_s = _spread(filled, coarse, ties, seed)
    times_s = spread_s
    if duration_s is not None:
        times_s = spread_s - np.where((duration_s > 0) & (duration_s < LONGEST_S), duration_s, 0.0)
    return Arrivals(
        times_s,
        np.argsort(times_s, kind="stable"),
        spread_s != filled,
        ~known,
        int((jumps > 0).sum()),
        float(jumps.max(initial=0.0)),
    )


def _filled(end_s: npt.NDArray[np.float64], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Unreadable times become that of the line before, the first ones that of the first known one."""
    if known.all():
        return end_s
    before = np.maximum.accumulate(np.where(known, np.arange(len(end_s)), -1))
    return np.asarray(end_s[np.where(before < 0, np.argmax(known), before)])


def _spread(
    end_s: npt.NDArray[np.float64], coarse: npt.NDArray[np.bool_], ties: str, seed: int
) -> npt.NDArray[np.float64]:
    rows = np.flatnonzero(coarse)
    if len(rows) == 0:
        return end_s
    if ties == "reverse":
        rows = rows[::-1]
    elif ties == "shuffle":
        rows = np.random.default_rng(seed).permutation(rows)
    rows = rows[np.argsort(end_s[rows], kind="stable")]
    second = end_s[rows]
    starts = np.flatnonzero(np.r_[True, second[1:] != second[:-1]])
    lines = np.diff(np.r_[starts, len(rows)])
    spread_s = end_s.copy()
    spread_s[rows] += (np.arange(len(rows)) - np.repeat(starts, lines)) / np.repeat(lines, lines)
    return spread_s
