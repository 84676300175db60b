"""How a proxy is set up; what is left out is as NGINX has it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from ...traces.errors import UsageError
from ...traces.units import parse_size
from .origin import Origin

__all__ = ["SYNC", "CacheManager", "ProxyConfig", "keys_zone_nodes"]

SYNC = None
"""As `ProxyConfig.manager`: no manager; room is made on the way of a request, before its object enters."""

PAGE_BYTES = 4096
SMALLEST_ZONE_BYTES = 3 * PAGE_BYTES
"""With less, NGINX finds no memory and does not start."""

POOL_BYTES = 704
"""Head of a zone, 64-bit: the pool (200 bytes), and nine sizes of slots with a list (24 bytes) and statistics (32) each."""

PAGE_RECORD_BYTES = 24
NODES_PER_PAGE = PAGE_BYTES // 128
"""A key's node of 120 bytes takes a slot of 128."""


def keys_zone_nodes(size: str) -> int:
    """Return how many keys a zone of ``10MiB`` has room for, as NGINX 1.22.1 fills it on a 64-bit machine.

    A zone is a slab of pages: some are its head, one holds the name, and all others hold keys, but for the one slot of
    the cache itself. NGINX's documentation says about 8,000 per megabyte; counted were 31 in 12k, 191 in 32k, and 8,095 in 1m.

    Raises
    ------
    UnitError, UsageError
        No number of bytes, or less than NGINX takes.
    """
    parsed = parse_size(size)
    if parsed.kind == "objects":
        return int(parsed.value)
    if parsed.kind != "bytes":
        raise UsageError(f"a keys zone of {size!r} is no number of bytes; write it as 10MiB, or as 80000obj")
    whole = int(parsed.value)
    if whole < SMALLEST_ZONE_BYTES:
        raise UsageError(
            f"a keys zone of {size} is too small for NGINX, which takes 12KiB or more; 1MiB holds 8,095 keys"
        )
    pages = (whole - POOL_BYTES) // (PAGE_BYTES + PAGE_RECORD_BYTES)
    head = -(-(POOL_BYTES + pages * PAGE_RECORD_BYTES) // PAGE_BYTES)
    pages = min(pages, whole // PAGE_BYTES - head)
    return (pages - 1) * NODES_PER_PAGE - 1


def _check(config: Any, positive: tuple[str, ...] = ()) -> None:
    """Refuse numbers that are negative or no numbers, and zero for those named."""
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if math.isnan(value) or value < 0 or (value == 0 and field.name in positive):
            least = "above 0" if field.name in positive else "at least 0"
            raise UsageError(f"{field.name} of a proxy is {value}; it must be {least}")


@dataclass(frozen=True)
class CacheManager:
    """NGINX's cache manager, a process that wakes up now and then (`evictlab.sim.proxy.manager`).

    Attributes
    ----------
    interval_s : float
        Longest sleep after nothing was left to do; fixed at 10 s in NGINX.
    files : int
        Deletions in one go (``manager_files``).
    threshold_s : float
        Seconds in one go (``manager_threshold``).
    sleep_s : float
        Sleep between two goes (``manager_sleep``).
    delete_s : float
        What a deletion takes.
    first_wake_s : float
        First time that it wakes up, after the first request.
    asks_policy : bool
        False is NGINX as it is built: whoever is at the tail of its own queue is forced out, keys without an object, too,
        so that their uses are forgotten.
    """

    interval_s: float = 10.0
    files: int = 100
    threshold_s: float = 0.2
    sleep_s: float = 0.05
    delete_s: float = 0.0
    first_wake_s: float = 0.0
    asks_policy: bool = True

    def __post_init__(self) -> None:
        _check(self, ("interval_s", "files", "sleep_s"))


@dataclass(frozen=True)
class ProxyConfig:
    """A proxy with one cache.

    Attributes
    ----------
    size : str
        ``25MB``, ``10%`` of the footprint, or ``5000obj``; NGINX's ``max_size=25m`` is ``25MiB``.
    manager : CacheManager or None
        `SYNC` (None) makes room before an object enters, as the compiled replay does; else who evicts, and when.
    inactive_s : float
        With a manager: what was not requested for so long leaves.
    keys_zone_nodes : int or None
        How many keys there is room for, see `keys_zone_nodes`; None = always enough.
    block_bytes, header_bytes : int
        An object is charged header and body in whole blocks; 0 = blocks do not count.
    min_uses : int
        The request with this number is the first that stores the response (``proxy_cache_min_uses``).
    lock : bool
        Concurrent misses of an object wait for the first (``proxy_cache_lock``).
    lock_age_s, lock_timeout_s : float
        After the first, another one is let through; after the second, a request stops waiting, when it looks again.
    lock_poll_s : float
        Who waits looks again so often; 0 = is woken when the object is there, or at once when it has waited too long.
    ttl : str, float or None
        Lifetime: ``60s``, seconds, ``"trace"``, or None = nothing expires.
    whole_seconds : bool
        Freshness is judged in whole seconds of the trace's clock, as NGINX does: what came in second s is fresh in all of
        second s + ttl.
    revalidate : bool
        Expired objects whose size has not changed are asked for conditionally (``proxy_cache_revalidate``).
    use_stale_updating : bool
        While an expired object is fetched anew, others get the old one (``proxy_cache_use_stale updating``).
    background_update : bool
        Then the first one gets it too, at once (``proxy_cache_background_update``). NGINX holds up the next request on the
        same kept-alive connection until the refresh is over; clients here have a connection for each request.
    origin : str, float, Origin or None
        See `evictlab.sim.proxy.origin.parse_origin`; None = as the trace says, and at once where it says nothing.
    origin_concurrency : int or None
        Fetches at a time; further ones wait.
    workers : int
        Event loops, each serving one request at a time for `service_s`, in order of arrival.
    service_s : float
        CPU seconds per request; the cache is looked into at their end.
    worker_connections : int or None
        Requests that a worker may have open; further ones wait.
    client_bytes_per_s : float or None
        Adds the transfer to the latency.
    speed : float or None
        Requests come so many times as fast as in the trace.
    rate_per_s : float or None
        They come evenly instead.
    decision_latency : str, float or None
        What asking the policy takes: see `evictlab.sim.proxy.delay.parse_delay`.
    deadline_s : float or None
        Where the answer would come later, the object at the tail of NGINX's queue leaves.
    sample_s : float or None
        How often the size on disk is noted, beside each waking of the manager; None = 500 times in all.
    """

    size: str
    manager: CacheManager | None = CacheManager()
    inactive_s: float = 600.0
    keys_zone_nodes: int | None = None
    block_bytes: int = 4096
    header_bytes: int = 0
    min_uses: int = 1
    lock: bool = False
    lock_age_s: float = 5.0
    lock_timeout_s: float = 5.0
    lock_poll_s: float = 0.5
    ttl: str | float | None = None
    whole_seconds: bool = False
    revalidate: bool = False
    use_stale_updating: bool = False
    background_update: bool = False
    origin: str | float | Origin | None = None
    origin_concurrency: int | None = None
    workers: int = 1
    service_s: float = 0.0
    worker_connections: int | None = None
    client_bytes_per_s: float | None = None
    speed: float | None = None
    rate_per_s: float | None = None
    decision_latency: str | float | None = None
    deadline_s: float | None = None
    sample_s: float | None = None

    def __post_init__(self) -> None:
        positive = ("keys_zone_nodes", "min_uses", "origin_concurrency", "workers", "worker_connections")
        _check(self, (*positive, "client_bytes_per_s", "speed", "rate_per_s", "sample_s"))
        if self.speed is not None and self.rate_per_s is not None:
            raise UsageError(
                "speed and rate exclude each other: requests come faster than in the trace, or at their own rate"
            )
        if self.background_update and not self.use_stale_updating:
            raise UsageError("background_update answers with expired objects: set use_stale_updating as well")
        if self.manager is SYNC and (self.decision_latency is not None or self.deadline_s is not None):
            raise UsageError(
                "a synchronous cache decides at once: leave out latency and deadline, or give it a manager"
            )
        if self.deadline_s is not None and self.decision_latency is None:
            raise UsageError("a deadline needs the latency of decisions as well, as in --decision-latency 100us")
