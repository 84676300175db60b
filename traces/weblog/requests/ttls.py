"""How long objects stay fresh: by a header of the response, or else by ``proxy_cache_valid``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..rules import CacheRules
from .nearest import by_group, nearest_value

__all__ = ["ttls_of"]


def ttls_of(
    ids: npt.NDArray[np.int32],
    status: npt.NDArray[np.int16] | None,
    header_s: npt.NDArray[np.float32] | None,
    doubtful: npt.NDArray[np.bool_] | None,
    rules: CacheRules,
) -> npt.NDArray[np.float32] | None:
    """Give each request the TTL that a response fetched now would have.

    Parameters
    ----------
    ids : int32[n]
        In the order of arrival.
    status : int16[n] or None
    header_s : float32[n] or None
        What headers say; NaN is nothing.
    doubtful : bool[n] or None
        Where the nearest response of the same object knows better.
    rules : CacheRules

    Returns
    -------
    float32[n] or None
        Seconds; NaN is unknown, None if all are.
    """
    ttls = np.full(len(ids), np.nan, np.float32) if header_s is None else header_s.copy()
    if doubtful is not None and doubtful.any():
        order = by_group(ids)
        better = nearest_value(ids[order], ttls[order], np.isfinite(ttls[order]) & ~doubtful[order])[0]
        # Only there: a response without a header that says how long has none, whatever its neighbours had.
        ttls[order] = np.where(doubtful[order], better, ttls[order])
    if status is not None and rules.valid:
        for code in np.unique(status).tolist():
            seconds = rules.seconds(code)
            if seconds is not None:
                ttls[(status == code) & ~np.isfinite(ttls)] = seconds
    return ttls if np.isfinite(ttls).any() else None
