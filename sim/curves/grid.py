"""Capacities in bytes at which a curve is known exactly: every one up to 1024, then 1024 for each doubling.

A curve over bytes has as many steps as it has hits. It is kept at these capacities instead, at which it is exact: they
are a tenth of a percent apart or less, and any further ones can be put in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ...policies.contract import helper

__all__ = ["Grid", "grid_up_to", "place"]

_BITS = 10
"""Each doubling is cut into 2^10 equal parts."""

_DROPPED = 52 - _BITS
"""The bits of a double below its exponent and first `_BITS` digits: without them it counts the parts in order."""

_ZERO = int(np.float64(1.0).view(np.int64)) >> _DROPPED


class Grid(NamedTuple):
    """Capacities, and where to begin looking for one.

    Attributes
    ----------
    capacities : int64[m], bytes, ascending
    first : int64[parts]
        For each part: the first capacity that is not below the part's beginning.
    """

    capacities: Any
    first: Any


def grid_up_to(largest: int, also: Iterable[int] = ()) -> Grid:
    """Return a grid that reaches `largest` bytes, with the capacities `also` among its own.

    Parameters
    ----------
    largest : int
        At least 1; itself a capacity of the grid.
    also : iterable of int
        Capacities that somebody will ask for.
    """
    part = np.arange((int(np.float64(largest).view(np.int64)) >> _DROPPED) + 2 - _ZERO)
    begins = ((part + _ZERO) << _DROPPED).view(np.float64)
    own = np.ceil(begins).astype(np.int64)
    capacities = np.unique(np.concatenate([own[own < largest], np.asarray([largest, *also], np.int64)]))
    return Grid(capacities, np.searchsorted(capacities, begins))


@helper
def place(grid: Any, amount: Any) -> Any:
    """Index of the least capacity that is `amount` or more; `amount` is an int64 from 1 to the grid's largest."""
    part = (np.float64(amount).view(np.int64) >> _DROPPED) - _ZERO
    rank = grid.first[part]
    while grid.capacities[rank] < amount:
        rank += 1
    return rank
