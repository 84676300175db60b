"""What a miss of each request would cost: the time that the origin took when it was asked for the object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...batch import LOGGED, Account
from .nearest import by_group, nearest_value

__all__ = ["costs_of"]


def costs_of(
    ids: npt.NDArray[np.int32],
    upstream_s: npt.NDArray[np.float32] | None,
    logged: npt.NDArray[np.uint8] | None,
    account: Account,
) -> npt.NDArray[np.float32] | None:
    """Give hits the cost of the nearest earlier miss of the same object, or else of the nearest later one.

    Parameters
    ----------
    ids : int32[n]
        In the order of arrival.
    upstream_s : float32[n] or None
        ``$upstream_response_time``; NaN where the origin was not asked.
    logged : uint8[n] or None
        Index into `LOGGED`: a revalidation fetches no body, so that it is cheaper than a miss.
    account : Account

    Returns
    -------
    float32[n] or None
        Seconds; NaN is unknown, None if all are.
    """
    if upstream_s is None or not np.isfinite(upstream_s).any():
        return None
    order = by_group(ids)
    fetched = np.isfinite(upstream_s)
    if logged is not None:
        fetched &= logged != LOGGED.index("REVALIDATED")
    filled, came_from = nearest_value(ids[order], upstream_s[order], fetched[order])
    costs = np.empty_like(upstream_s)
    costs[order] = filled
    borrowed, unknown = int((abs(came_from) == 1).sum()), int(np.isnan(costs).sum())
    if borrowed:
        account.notes.append(
            f"costs of {borrowed / len(ids):.1%} of the requests are those of the object's nearest miss"
        )
    if unknown:
        account.notes.append(
            f"costs of {unknown / len(ids):.1%} of the requests are unknown: the origin was never asked"
        )
    return costs
