"""The one replay loop: whatever the policy, whatever is charged, this is what happens to a request.

Written once and plain; `loop_for` compiles it for a policy's type of state. Features that are off are arguments that are
None, which numba prunes: they cost nothing.
"""

from __future__ import annotations

import inspect
import time
from functools import cache
from pathlib import Path
from typing import Any

from .. import policies
from ..policies.contract import KEPT, admit, evict, find, hit, insert, kernels_of, place, release, unsigned
from ..traces.home import cache_home

__all__ = [
    "BYTES",
    "COUNTERS",
    "EVICTIONS",
    "EXPIRED",
    "EXPIRED_MISS",
    "HIT",
    "HITS",
    "HIT_BYTES",
    "MISS",
    "REFUSED",
    "REFUSED_MISS",
    "REQUESTS",
    "TOO_LARGE",
    "USED",
    "loop",
    "loop_for",
]

REQUESTS, HITS, BYTES, HIT_BYTES, EVICTIONS, EXPIRED, REFUSED, TOO_LARGE, USED = range(9)
"""Places in `counts`: requests, hits, bytes requested, bytes served from the cache, objects evicted, requests that found
an expired object, misses that the policy refused to admit, misses larger than the cache, and bytes (or objects) held."""
COUNTERS = 9

MISS, HIT, EXPIRED_MISS, REFUSED_MISS = 0, 1, 2, 3
"""What became of one request, in `outcomes`; `REFUSED_MISS` includes objects larger than the cache."""


def loop(ids, sizes, times, ttls, costs, stored, expires, outcomes, start, stop, capacity, counts, saved, state):
    """Replay requests start .. stop-1; the cache, `counts` and `saved` go on from where they were.

    Parameters
    ----------
    ids : int32[n_requests]
    sizes : int64[n_requests], bytes, or None
        None charges 1 per object.
    times : float64[n_requests], seconds, or None
        Read only where `ttls` is given.
    ttls : float32[n_requests], seconds, or None
        ``inf`` = does not expire.
    costs : float32[n_requests], seconds a miss takes at the origin, or None
    stored : int64[n_objects], bytes charged per resident object, or None (with `sizes`)
    expires : float64[n_objects], seconds, or None (with `ttls`)
    outcomes : uint8[n_requests] or None
        Filled with what became of each request.
    start, stop : int
    capacity : int
        Bytes, or objects when sizes are off.
    counts : int64[COUNTERS]
        Running totals, see the constants of this module.
    saved : float64[2] or None (with `costs`)
        Seconds at the origin: of all requests, and of those served from the cache.
    state : NamedTuple of arrays
        The policy's.

    Notes
    -----
    The bytes charged for an object are those of the request that brought it in; they stay until it leaves, even when a
    later request states another size. A request that finds an expired object is a miss that refreshes it in place
    (NGINX: EXPIRED); the policy sees a hit.
    """
    hits = 0
    n_bytes = 0
    hit_bytes = 0
    evictions = 0
    expired = 0
    refused = 0
    too_large = 0
    free = capacity - counts[USED]  # what is compared with each size; `used + size` costs a twentieth of the speed
    for i in range(start, stop):
        at = place(i)
        obj = unsigned(ids[at])
        size = 1
        if sizes is not None:
            size = sizes[at]
            n_bytes += size
        if costs is not None:
            saved[0] += costs[at]
        outcome = MISS
        if find(state, obj):
            outcome = HIT
            if ttls is not None:  # noqa: SIM102 - numba prunes the test for None only when it stands alone
                if expires[obj] <= times[at]:
                    outcome = EXPIRED_MISS
                    expired += 1
                    expires[obj] = times[at] + ttls[at]
            hit(state, obj, i, size)
            if ttls is None or outcome == HIT:
                hits += 1
                if sizes is not None:
                    hit_bytes += size
                if costs is not None:
                    saved[1] += costs[at]
        elif size > capacity:
            too_large += 1
            outcome = REFUSED_MISS
        elif admit(state, obj, i, size):
            room = True
            while size > free:
                victim = unsigned(evict(state, obj, i, size))
                if victim == obj:  # the policy would rather keep what it has
                    room = False
                    break
                evictions += 1
                if stored is not None:
                    free += stored[victim]
                    stored[victim] = 0
                else:
                    free += 1
            if room:
                if stored is not None:
                    stored[obj] = size
                if ttls is not None:
                    expires[obj] = times[at] + ttls[at]
                insert(state, obj, i, size)
                free -= size
            else:
                refused += 1
                outcome = REFUSED_MISS
        else:
            refused += 1
            outcome = REFUSED_MISS
        while True:
            gone = release(state, obj, i, size)
            if gone == KEPT:
                break
            evictions += 1
            if stored is not None:
                free += stored[gone]
                stored[gone] = 0
            else:
                free += 1
        if outcomes is not None:
            outcomes[at] = outcome
    counts[REQUESTS] += stop - start
    counts[HITS] += hits
    counts[BYTES] += n_bytes
    counts[HIT_BYTES] += hit_bytes
    counts[EVICTIONS] += evictions
    counts[EXPIRED] += expired
    counts[REFUSED] += refused
    counts[TOO_LARGE] += too_large
    counts[USED] = capacity - free


_LOOP_OPTIONS = {
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
    "_nrt": False,
}


def loop_for(state: Any) -> Any:
    """Return the loop compiled for this type of state; interpreted for an object with methods.

    Compiled code is kept on disk, in a folder whose name holds a digest of all policy sources and of the file that
    defines this state: a change in any of them compiles anew.
    """
    if not isinstance(state, tuple):
        kernels_of(state)
        return loop
    folder = _folder_for(type(state))
    if folder is None:
        return _compiled_in_memory(_kinds(state))
    from ..traces.jit import compiled

    return _on_disk(folder, compiled, _kinds(state))


_STARTED = time.time()


def _kinds(state: Any) -> tuple[type, ...]:
    """Return the type of the state and those of the named tuples in it.

    numba's dispatcher tells named tuples apart by their fields and not by their class: after ``prob+lru`` it would run
    the code of LRU for ``prob+mru``, whose fields are alike. So each nesting gets a dispatcher of its own.
    """
    return (type(state), *(kind for part in state if isinstance(part, tuple) for kind in _kinds(part)))


@cache
def _folder_for(state_type: type) -> Path | None:
    """Where the code for a type of state is kept; None for one that was typed at a prompt or in a notebook.

    Asked once per type: the digest reads a hundred files, and belongs to the sources as they were imported.
    """
    from ..traces.jit import source_digest

    where = _defining_file(state_type)
    if where is None:  # nothing on disk tells when it changes
        return None
    if any(path.stat().st_mtime > _STARTED for path in _sources()):  # what was imported is no longer what is on disk
        return None
    return cache_home() / "kernels" / f"{Path(where).stem}-{source_digest([*_sources(), Path(where)])}"


@cache
def _on_disk(folder: Path, compiled: Any, kinds: tuple[type, ...]) -> Any:
    return compiled(folder, **_LOOP_OPTIONS)(loop)


@cache
def _compiled_in_memory(kinds: tuple[type, ...]) -> Any:
    import numba

    return numba.njit(**_LOOP_OPTIONS)(loop)


def _defining_file(state_type: type) -> str | None:
    try:
        file = inspect.getfile(state_type)
    except (TypeError, OSError):
        return None
    return file if Path(file).is_file() else None


@cache
def _sources() -> list[Path]:
    """All files whose code may end up in the loop."""
    return [Path(__file__), *sorted(Path(policies.__file__).parent.rglob("*.py"))]
