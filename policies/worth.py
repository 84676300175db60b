"""What it is worth to have an object, per byte: the origin seconds of a miss over the bytes charged."""

from __future__ import annotations

from .contract import helper

__all__ = ["worth"]


@helper
def worth(costs, n_bytes, now):
    """Seconds that a miss of request `now` takes at the origin, over `n_bytes`; a miss costs 1 where `costs` is None."""
    if costs is None:
        return 1.0 / n_bytes
    return costs[now] / n_bytes
