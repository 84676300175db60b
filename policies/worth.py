"""What it is worth to have an object, per byte: requests times the origin seconds of a miss, over the bytes charged."""

from __future__ import annotations

from .contract import helper

__all__ = ["worth"]


@helper
def worth(n_requests, costs, now, n_bytes):
    """Return `n_requests` times the cost of a miss of request `now` over `n_bytes`; a miss costs 1 where `costs` is None.

    One division at the end: equal ratios are equal numbers, so that ties are ties.
    """
    if costs is None:
        return n_requests / n_bytes
    return n_requests * costs[now] / n_bytes
