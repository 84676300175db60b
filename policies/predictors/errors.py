"""How wrong predictions are, in the measures that the algorithms' bounds are stated in.

- ``eta0``: requests whose bit says keep (0) where the truth is 1; ``eta1``: the other way round. Of phase bits only those
  count that an algorithm acts on: the last of each object in each phase but the final one. The bounds hold for this
  smaller number, too.
- ``eta``: sum over all requests of the distance between predicted and true index of the next request, both at most n
  (the index that stands for never).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import BITS, Predictor
from .phases import last_in_phase, phases_of
from .truth import Truth

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["errors"]


def errors(kind: str, predicted: Any, trace: RequestTrace, capacity: int) -> dict[str, float | int]:
    """Compare predictions with the truth.

    Parameters
    ----------
    kind : str
        A key of `evictlab.policies.predictors.KINDS`.
    predicted : uint8[n_requests] or float64[n_requests]
    trace : RequestTrace
    capacity : int
        Objects that the cache holds.

    Returns
    -------
    dict
        ``eta0`` and ``eta1``, or ``eta``, in requests.
    """
    truth = Predictor(Truth()).forecast(kind, trace, capacity)
    if kind not in BITS:
        n = len(trace)
        return {"eta": float(np.abs(np.minimum(predicted, n) - np.minimum(truth, n)).sum())}
    wrong = predicted != truth
    if kind == "phase":
        phases = phases_of(trace.ids, trace.n_objects, capacity)
        wrong &= last_in_phase(phases, trace.next_use) & (phases < phases[-1])
    return {"eta0": int((wrong & (truth == 1)).sum()), "eta1": int((wrong & (truth == 0)).sum())}
