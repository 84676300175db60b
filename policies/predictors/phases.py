"""The k-phases of a trace: each as long as it has no more than k different objects.

A phase is a maximal run of requests for at most k objects; the next begins with the request for one more. All marking
algorithms follow these phases, whatever they evict.
Source: Fiat, Karp, Luby, McGeoch, Sleator, Young, "Competitive paging algorithms", Journal of Algorithms 12(4), 1991.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...traces.jit import kernel

__all__ = ["clean_requests", "last_in_phase", "not_in_next_phase", "phases_of"]


@kernel()
def _number(ids: Any, capacity: Any, latest: Any, phases: Any) -> None:
    phase = 0
    distinct = 0
    for i in range(len(ids)):
        if latest[ids[i]] != phase:
            if distinct == capacity:
                phase += 1
                distinct = 0
            latest[ids[i]] = phase
            distinct += 1
        phases[i] = phase


@kernel()
def _absent_from_next(ids: Any, phases: Any, upcoming: Any, absent: Any) -> None:
    """Backwards, a phase at a time: first read whose next phase is the following one, then write this phase."""
    end = len(ids)
    while end > 0:
        phase = phases[end - 1]
        begin = end
        while begin > 0 and phases[begin - 1] == phase:
            begin -= 1
            absent[begin] = upcoming[ids[begin]] != phase + 1
        for i in range(begin, end):
            upcoming[ids[i]] = phase
        end = begin


def phases_of(ids: npt.NDArray[np.int32], n_objects: int, capacity: int) -> npt.NDArray[np.int32]:
    """Return the number of the phase that each request belongs to, from 0.

    Parameters
    ----------
    ids : int32[n]
    n_objects : int
    capacity : int
        k, in objects.
    """
    phases = np.empty(len(ids), np.int32)
    _number(ids, capacity, np.full(n_objects, -1, np.int32), phases)
    return phases


def not_in_next_phase(
    ids: npt.NDArray[np.int32], n_objects: int, phases: npt.NDArray[np.int32]
) -> npt.NDArray[np.uint8]:
    """Return 0 for each request whose object is requested in the phase after its own, else 1."""
    absent = np.empty(len(ids), np.uint8)
    _absent_from_next(ids, phases, np.full(n_objects, -1, np.int32), absent)
    return absent


def last_in_phase(phases: npt.NDArray[np.int32], next_use: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which requests are the last of their phase for their object: only their bits matter to a marking algorithm."""
    n = len(phases)
    known = next_use < n
    last = ~known
    last[known] = phases[next_use[known]] != phases[known]
    return last


def clean_requests(phases: npt.NDArray[np.int32], prev_use: npt.NDArray[Any]) -> int:
    """Return how many times an object is requested in a phase and neither earlier in it nor in the one before.

    The cost of marking with perfect bits; at most twice the optimum's.
    """
    before = np.where(prev_use < 0, np.int64(-2), phases[np.maximum(prev_use, 0)])
    return int((before < phases.astype(np.int64) - 1).sum())
