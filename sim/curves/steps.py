"""From hits per capacity to the columns of a curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["steps"]


def steps(
    capacities: npt.NDArray[np.int64],
    hits: npt.NDArray[Any],
    requests: float,
    byte_hits: npt.NDArray[Any] | None = None,
    n_bytes: float = 0,
    also: Sequence[int] = (),
) -> dict[str, Any]:
    """Add up hits and keep the capacities at which something changes.

    Parameters
    ----------
    capacities : int64[m]
        Ascending.
    hits : int64[m] or float64[m]
        Requests that hit from this capacity on, and not below it.
    requests : number
        Of which the hits are a part.
    byte_hits : int64[m] or float64[m], optional
        Bytes of these hits.
    n_bytes : number
        Of which the byte hits are a part.
    also : sequence of int
        Capacities to keep whether or not something changes there; the last one always stays.

    Returns
    -------
    dict
        `capacities`, `miss_ratio`, `byte_miss_ratio` as `Curve` takes them. Estimates are held within 0 and 1.
    """
    keep = hits != 0
    keep[-1] = True
    keep[np.isin(capacities, np.asarray(also, np.int64))] = True

    def misses(part: npt.NDArray[Any], whole: float) -> npt.NDArray[np.float64]:
        return np.asarray(np.clip(1 - np.cumsum(part)[keep] / whole, 0, 1))

    return {
        "capacities": np.asarray(capacities[keep], np.int64),
        "miss_ratio": misses(hits, requests),
        "byte_miss_ratio": None if byte_hits is None else misses(byte_hits, n_bytes),
    }
