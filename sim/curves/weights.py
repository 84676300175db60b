"""Stack distances in bytes: how many bytes were requested since the last request for this object, itself included.

The model: an LRU stack in which each object weighs as much as its latest request said. A request needs a capacity of at
least the bytes on the stack from the top down to its object, the object's own included.

The structure is that of `evictlab.sim.curves.holes` with sums in place of counts: leaves of eight requests, whose sizes
are added up where they still are the object's latest, and above them levels of two children that hold the bytes left.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...policies import contract
from ...policies.contract import helper
from ...traces.jit import kernel
from . import grid as _grid
from .grid import Grid, place

__all__ = ["byte_histogram", "bytes_since"]


_1, _3 = np.uint64(1), np.uint64(3)


class Weights(NamedTuple):
    """Bytes at positions 0 .. n-1 of a trace; about a byte a position, and the trace's own sizes.

    Attributes
    ----------
    sizes : int64[n], bytes
    gone : uint8[n / 8 + 1]
        Bit ``p % 8`` of entry ``p // 8``: the object has been requested again since position p.
    left : int64[...], bytes
        For each inner node, what is left of its middle; level after level from the leaves up.
    begins : uint64[levels]
        Where each level of `left` begins.
    """

    sizes: Any
    gone: Any
    left: Any
    begins: Any


def _weights(sizes: npt.NDArray[np.int64]) -> Weights:
    """Return the structure with all positions in place, those still to come too: only what is left is ever asked for."""
    n = len(sizes)
    starts = np.arange(0, n, 8)
    sums = np.add.reduceat(sizes, starts)
    levels = []
    while len(sums) > 1:
        levels.append(sums[0::2])
        right = np.zeros_like(levels[-1])
        right[: len(sums) // 2] = sums[1::2]
        sums = levels[-1] + right
    begins = np.cumsum([0, *(len(level) for level in levels)])[: len(levels)].astype(np.uint64)
    left = np.concatenate(levels) if levels else np.zeros(0, np.int64)
    return Weights(sizes, np.zeros(n // 8 + 1, np.uint8), left, begins)


@helper
def _bytes_before(weights: Any, position: Any, removed: Any) -> Any:
    """Sum of the sizes before `position` that are still in place; `removed` bytes of `position` itself are taken out."""
    node = np.uint64(position) >> _3
    gone = np.int64(weights.gone[node])
    total = np.int64(0)
    for k in range(position & ~7, position):
        total += weights.sizes[k] * (1 - ((gone >> (k & 7)) & 1))
    if removed > 0:
        weights.gone[node] = gone | (1 << (position & 7))
    for level in range(len(weights.begins)):
        right = np.int64(node & _1)
        node >>= _1
        place = weights.begins[level] + node
        left = weights.left[place]
        total += left * right
        weights.left[place] = left - removed * (1 - right)
    return total


def byte_histogram(
    prev_use: npt.NDArray[Any], sizes: npt.NDArray[np.int64], start: int, grid: Grid
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count requests, and their bytes, by the least capacity of the grid that serves them.

    Parameters
    ----------
    prev_use : int32[n] or int64[n]
        Position of the request before for the same object, -1 for the first.
    sizes : int64[n], bytes
    start : int
        Requests before this position move the stack but are not counted.
    grid : Grid
        Must reach as far as the bytes of all objects.

    Returns
    -------
    requests, n_bytes : int64[len(grid.capacities)]
        First requests are left out.
    """
    requests = np.zeros(len(grid.capacities), np.int64)
    n_bytes = np.zeros(len(grid.capacities), np.int64)
    _fill_histogram(prev_use, start, _weights(sizes), grid, requests, n_bytes)
    return requests, n_bytes


@kernel(made_of=[contract, _grid], error_model="numpy", _nrt=False)
def _fill_histogram(prev_use: Any, start: Any, weights: Any, grid: Any, requests: Any, n_bytes: Any) -> None:
    stack = np.int64(0)
    for i in range(len(prev_use)):
        last = np.int64(prev_use[i])
        size = weights.sizes[i]
        if last >= 0:
            moved = weights.sizes[last]
            needed = stack - _bytes_before(weights, last, moved)
            if i >= start:
                rank = place(grid, needed)
                requests[rank] += 1
                n_bytes[rank] += size
            stack -= moved
        stack += size


def bytes_since(
    prev_use: npt.NDArray[Any], sizes: npt.NDArray[np.int64], since: npt.NDArray[np.int64], now: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Bytes of the different objects that were requested in stretches of a trace.

    Parameters
    ----------
    prev_use, sizes
        As in `byte_histogram`.
    since, now : int64[m]
        The stretch of each question: positions ``since[j]`` to ``now[j] - 1``. `now` does not decrease.

    Returns
    -------
    int64[m]
        0 where ``since[j]`` is negative.
    """
    found = np.zeros(len(since), np.int64)
    _fill_bytes_since(prev_use, since, now, _weights(sizes), found)
    return found


@kernel(made_of=[contract], error_model="numpy", _nrt=False)
def _fill_bytes_since(prev_use: Any, since: Any, now: Any, weights: Any, found: Any) -> None:
    stack = np.int64(0)
    i = 0
    for j in range(len(since)):
        while i < now[j]:
            last = np.int64(prev_use[i])
            if last >= 0:
                moved = weights.sizes[last]
                _bytes_before(weights, last, moved)
                stack -= moved
            stack += weights.sizes[i]
            i += 1
        if 0 <= since[j] < i:
            found[j] = stack - _bytes_before(weights, since[j], 0)
