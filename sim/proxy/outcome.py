"""What became of a request, named as in NGINX's ``$upstream_cache_status``.

The first three are the numbers of `evictlab.sim.loop`. Whoever was answered with what the cache held, without the origin on
the way, was *served from the cache*: `HIT`, `STALE` and `UPDATING`. A `REVALIDATED` response is in the cache, too, but the
client waited for the origin's word: for the hit ratio it is a miss, like `EXPIRED`, though none of its bytes were fetched.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "COALESCED",
    "EXPIRED",
    "HIT",
    "MISS",
    "NAMES",
    "REVALIDATED",
    "STALE",
    "UNCACHED",
    "UPDATING",
    "status",
    "was_served",
]

MISS, HIT, EXPIRED, STALE, UPDATING, REVALIDATED = range(6)
NAMES = ("MISS", "HIT", "EXPIRED", "STALE", "UPDATING", "REVALIDATED")

COALESCED = 0x10
"""Added to `HIT` where the request waited for another one to fetch the object (``proxy_cache_lock``)."""

UNCACHED = 0x20
"""Added where the response was not kept: refused, larger than the cache, asked for too seldom, waited too long, or an error."""

_STATUS = 0x0F


def status(outcomes: Any) -> Any:
    """Return outcomes, one or an array, without what was added."""
    return outcomes & _STATUS


def was_served(outcomes: Any) -> Any:
    """Return whether each request of an array was served from the cache, without the origin on the way."""
    found = status(outcomes)
    return (found == HIT) | (found == STALE) | (found == UPDATING)
