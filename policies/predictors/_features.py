"""What is known of an object when it is requested, from its past alone: the features that a learned predictor sees."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...traces.jit import kernel

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["FEATURES", "features"]

FEATURES = (
    "gap",
    "gap_before",
    "third_gap",
    "fourth_gap",
    "count",
    "mean_gap",
    "decayed_64",
    "decayed_1k",
    "decayed_16k",
    "size",
)
"""Names of the columns. Gaps (in requests), count and bytes as logarithms to base 2; the decayed counts have half-lives of so
many requests, as the exponentially decayed counters of Song, Berger, Li, Lloyd, "Learning relaxed Belady for content
distribution network caching", NSDI 2020. The age of an object is left out: it grows with the trace, and
what is learnt from young objects in the first part misleads in the rest."""

_GAPS = 4
_HALF_LIVES = (64.0, 1024.0, 16384.0)
_NO_GAP = 40.0  # more than the logarithm of any real one


@kernel()
def _fill(
    ids: Any, sizes: Any, first: Any, latest: Any, counts: Any, gaps: Any, decayed: Any, rates: Any, out: Any
) -> None:
    n_gaps = gaps.shape[1]
    n_decayed = decayed.shape[1]
    for now in range(len(ids)):
        obj = ids[now]
        if counts[obj] == 0:
            first[obj] = now
        else:
            gap = now - latest[obj]
            for k in range(n_gaps - 1, 0, -1):
                gaps[obj, k] = gaps[obj, k - 1]
            gaps[obj, 0] = math.log2(gap)
            for k in range(n_decayed):
                decayed[obj, k] *= math.exp(-rates[k] * gap)
        counts[obj] += 1
        latest[obj] = now
        for k in range(n_gaps):
            out[now, k] = gaps[obj, k]
        out[now, n_gaps] = math.log2(counts[obj])
        mean_gap = (now - first[obj]) / (counts[obj] - 1) if counts[obj] > 1 else 0.0
        out[now, n_gaps + 1] = math.log2(mean_gap) if mean_gap > 0 else gaps[obj, 0]
        for k in range(n_decayed):
            decayed[obj, k] += 1
            out[now, n_gaps + 2 + k] = decayed[obj, k]
        out[now, n_gaps + 2 + n_decayed] = 0.0 if sizes is None else math.log2(sizes[now])


def features(trace: RequestTrace) -> npt.NDArray[np.float32]:
    """Return float32[n_requests, features]: row i is known when request i arrives."""
    objects = trace.n_objects
    out = np.empty((len(trace), len(FEATURES)), np.float32)
    _fill(
        trace.ids,
        trace.sizes,
        np.zeros(objects, np.int64),
        np.zeros(objects, np.int64),
        np.zeros(objects, np.int64),
        np.full((objects, _GAPS), _NO_GAP, np.float32),
        np.zeros((objects, len(_HALF_LIVES)), np.float32),
        math.log(2) / np.asarray(_HALF_LIVES),
        out,
    )
    return out
