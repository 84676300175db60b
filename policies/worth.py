"""What a resident is worth per byte: the origin seconds it saves over the bytes it takes."""

from __future__ import annotations

from .contract import helper, weight

__all__ = ["cost_of", "worth"]


@helper
def cost_of(costs, now):  # type: ignore[no-untyped-def]
    """Seconds that a miss of request `now` takes at the origin; 1 where costs are unknown (None)."""
    if costs is None:
        return 1.0
    return costs[now]


@helper
def worth(costs, stored, obj, now):  # type: ignore[no-untyped-def]
    """Cost of request `now` over the bytes charged for the resident `obj`; 1 where neither is known."""
    return cost_of(costs, now) / weight(stored, obj)
