"""Facts: what is remembered of each object, also after it has left, and the clock by which it is told.

NGINX's own node knows when an object was last asked for and how large it is; everything else that a learned policy looks at
is kept here, and in the same form in the side table of the NGINX module. A value that is not known is `MISSING`.

Time is that of the trace, in seconds. A trace without times has one request per second.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from ..contract import KERNEL_OPTIONS, helper, place
from ..setting import Setting

__all__ = [
    "CONTEXT",
    "FEATURES",
    "HALF_LIVES",
    "MISSING",
    "N_CONTEXT",
    "N_FEATURES",
    "PACE_MEMORY",
    "Facts",
    "describe",
    "fetched",
    "found",
    "hits_of",
    "make_facts",
    "requested",
    "time_of",
]

MISSING = -1.0

FEATURES = {
    "age_s": "seconds since it was last fetched from the origin",
    "size_bytes": "bytes that it is charged",
    "hits": "hits since it came in",
    "gap_s": "seconds between its last two requests",
    "ttl_left_s": "seconds until it is no longer fresh; 0 = expired",
    "origin_s": "seconds that its last fetch took at the origin",
    "idle_s": "seconds since its last request",
    "requests": "requests since it is known; leaving the cache does not reset this",
    "known_s": "seconds since its first request",
    "recent": "requests, each halved for every 256 requests (to any object) since",
    "steady": "the same with 4096 requests",
}
"""What a candidate is described by, in this order. The first six are those of the Cold-RL paper."""

CONTEXT = {
    "pace_s": "mean seconds between requests to the cache",
    "capacity_bytes": "bytes that fit",
    "residents": "objects in the cache",
    "need_bytes": "bytes to be freed; 0 = one victim is asked for",
}
"""What the cache is described by, in this order."""

N_FEATURES, N_CONTEXT = len(FEATURES), len(CONTEXT)
HALF_LIVES = (256, 4096)
"""Requests after which a request counts half, in ``recent`` and ``steady``."""
PACE_MEMORY = 4096
"""The gap before the n-th request enters ``pace_s`` with weight 1/min(n, this)."""

_FETCHED, _HITS, _BEFORE, _LAST, _EXPIRES, _ORIGIN, _REQUESTS, _FIRST, _RECENT, _STEADY, _NUMBER, _INDEX = range(12)
_N, _NOW, _PACE = range(3)


class Facts(NamedTuple):
    """What is remembered.

    Attributes
    ----------
    of : float64[n_objects, 12]
        By object: time of the last fetch, hits since, time of the request before the last and of the last, time of expiry,
        origin seconds, requests, time of the first, the two decayed counts, and of the last request its number and its
        index in the trace.
    clock : float64[3]
        Requests so far, time of the last, mean seconds between them.
    times : float64[n_requests], seconds, or None
    ttls : float32[n_requests], seconds, or None
    costs : float32[n_requests], seconds, or None
    """

    of: Any
    clock: Any
    times: Any
    ttls: Any
    costs: Any


def make_facts(setting: Setting) -> Facts:
    """Return a table that knows nothing."""
    return Facts(np.full((setting.n_objects, 12), MISSING), np.zeros(3), setting.times, setting.ttls, setting.costs)


def _entry(column, now, otherwise):
    return otherwise if column is None else column[place(now)]


@overload(_entry, jit_options=KERNEL_OPTIONS)
def _compiled_entry(column, now, otherwise):
    if isinstance(column, types.NoneType):
        return lambda column, now, otherwise: otherwise
    return lambda column, now, otherwise: column[place(now)]


@helper
def time_of(facts, now):
    """Return the second of request `now`."""
    return _entry(facts.times, now, float(now))


@helper
def requested(facts, obj, now):
    """Note that `obj` was asked for, whether it was found or not; a request that is told twice counts once."""
    if facts.of[obj, _INDEX] == now:
        return
    clock = facts.clock
    t = time_of(facts, now)
    clock[_N] += 1
    if clock[_N] > 1:
        clock[_PACE] += (max(t - clock[_NOW], 0.0) - clock[_PACE]) / min(clock[_N] - 1, 4096.0)
    clock[_NOW] = max(t, clock[_NOW]) if clock[_N] > 1 else t
    of = facts.of[obj]
    if of[_REQUESTS] < 0:
        of[_REQUESTS] = 0
        of[_FIRST] = t
        of[_RECENT] = 0
        of[_STEADY] = 0
    else:
        passed = clock[_N] - of[_NUMBER]
        of[_RECENT] *= 0.5 ** (passed / 256.0)
        of[_STEADY] *= 0.5 ** (passed / 4096.0)
        of[_BEFORE] = of[_LAST]
    of[_LAST] = t
    of[_REQUESTS] += 1
    of[_RECENT] += 1
    of[_STEADY] += 1
    of[_NUMBER] = clock[_N]
    of[_INDEX] = now


@helper
def fetched(facts, obj, now, anew):
    """Note that the request `now` brought `obj` from the origin: `anew`, or as a refresh of what is in the cache."""
    of = facts.of[obj]
    of[_FETCHED] = time_of(facts, now)
    if anew:
        of[_HITS] = 0
    of[_EXPIRES] = of[_FETCHED] + _entry(facts.ttls, now, np.inf)
    of[_ORIGIN] = _entry(facts.costs, now, MISSING)


@helper
def found(facts, obj, now):
    """Note that the request `now` found `obj` in the cache; an expired one is fetched again, in place."""
    if facts.of[obj, _EXPIRES] <= time_of(facts, now):
        fetched(facts, obj, now, False)
    else:
        facts.of[obj, _HITS] += 1


@helper
def hits_of(facts, obj):
    """Return how often a resident was found since it came in."""
    return facts.of[obj, _HITS]


@helper
def describe(facts, obj, t, size, row):
    """Write the features of `obj` at second `t` into `row`, float32[N_FEATURES]."""
    of = facts.of[obj]
    passed = facts.clock[_N] - of[_NUMBER]
    row[0] = max(t - of[_FETCHED], 0.0)
    row[1] = size
    row[2] = of[_HITS]
    row[3] = MISSING if of[_REQUESTS] < 2 else max(of[_LAST] - of[_BEFORE], 0.0)
    row[4] = max(of[_EXPIRES] - t, 0.0) if of[_EXPIRES] < np.inf else MISSING
    row[5] = of[_ORIGIN]
    row[6] = max(t - of[_LAST], 0.0)
    row[7] = of[_REQUESTS]
    row[8] = max(t - of[_FIRST], 0.0)
    row[9] = of[_RECENT] * 0.5 ** (passed / 256.0)
    row[10] = of[_STEADY] * 0.5 ** (passed / 4096.0)
