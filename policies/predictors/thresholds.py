"""From times to bits: when is a next request too far away to wait for?

What a predictor says of the next request becomes a bit without looking ahead:

- *phase*: the next phase is expected to end two mean phase lengths after this one began; an object due later is 1.
- *discard*: a cache of k objects has k units of residence to spend per request. Spent on the shortest gaps first, they
  last up to some length of gap; an object due later than that from now is 1. The gaps are those seen so far, in
  classes an eighth of an octave wide.

Until there is something to go by (no phase is over; fewer than k gaps were seen), every bit is 0.
Source: the budget of residence is that of PFOO-L, Berger, Beckmann, Harchol-Balter, "Practical bounds on optimal caching
with variable object sizes", SIGMETRICS 2018; used as a threshold, it is evictlab's own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...traces.jit import kernel

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["bits_of_times"]

_PER_OCTAVE = 8
_LOOK_EVERY = 256


@kernel()
def _discard(prev_use: Any, due: Any, capacity: Any, spent: Any, bits: Any) -> None:
    """`spent[c]`: residence that gaps of class c have taken so far."""
    longest = math.inf
    gaps = 0
    for now in range(len(prev_use)):
        if prev_use[now] >= 0:
            gap = now - prev_use[now]
            spent[int(math.log2(gap) * _PER_OCTAVE)] += gap
            gaps += 1
        if now % _LOOK_EVERY == 0 and gaps >= capacity:
            left = float(capacity) * now
            of_class = 0
            while of_class < len(spent) and spent[of_class] <= left:
                left -= spent[of_class]
                of_class += 1
            longest = 2.0 ** (of_class / _PER_OCTAVE) if of_class < len(spent) else math.inf
        bits[now] = due[now] - now > longest


@kernel()
def _phase(ids: Any, due: Any, capacity: Any, latest: Any, bits: Any) -> None:
    phase = 0
    distinct = 0
    begin = 0
    for now in range(len(ids)):
        if latest[ids[now]] != phase:
            if distinct == capacity:
                phase += 1
                distinct = 0
                begin = now
            latest[ids[now]] = phase
            distinct += 1
        bits[now] = phase > 0 and due[now] >= begin + 2.0 * begin / phase


def bits_of_times(kind: str, due: npt.NDArray[Any], trace: RequestTrace, capacity: int) -> npt.NDArray[np.uint8]:
    """Turn predicted times of next requests into bits, see the module.

    Parameters
    ----------
    kind : {"discard", "phase"}
    due : float64[n_requests]
        Predicted index of the next request.
    trace : RequestTrace
    capacity : int
        Objects.
    """
    bits = np.empty(len(trace), np.uint8)
    if kind == "phase":
        _phase(trace.ids, due, capacity, np.full(trace.n_objects, -1, np.int32), bits)
    else:
        classes = _PER_OCTAVE * (len(trace).bit_length() + 1)
        _discard(trace.prev_use, due, capacity, np.zeros(classes), bits)
    return bits
