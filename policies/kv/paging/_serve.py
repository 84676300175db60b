"""The loop that hands a stream's requests to a cache policy, compiled for the type of its state."""

from __future__ import annotations

import inspect
import time
from functools import cache
from pathlib import Path
from typing import Any

from .... import policies
from ...contract import KEPT, admit, evict, find, hit, insert, kernels_of, release, unsigned

__all__ = ["serve", "serve_for"]


def serve(requests, start, stop, stream, capacity, held, clock, resident, state):
    """Replay ``requests[start:stop]`` of one stream; each token takes one place.

    Parameters
    ----------
    requests : int32[n]
        Tokens, by position.
    start, stop : int
    stream : int
        Row of the tables below.
    capacity : int
    held : int64[streams]
        Tokens that the policy holds.
    clock : int64[streams]
        Requests so far.
    resident : bool[streams, tokens]
    state : NamedTuple of arrays
        The policy's, of this stream.
    """
    for i in range(start, stop):
        obj = unsigned(requests[i])
        now = clock[stream]
        clock[stream] = now + 1
        if find(state, obj):
            hit(state, obj, now, 1)
        elif admit(state, obj, now, 1):
            room = True
            while held[stream] >= capacity:
                victim = unsigned(evict(state, obj, now, 1))
                if victim == obj:  # the policy would rather keep what it has
                    room = False
                    break
                resident[stream, victim] = False
                held[stream] -= 1
            if room:
                insert(state, obj, now, 1)
                resident[stream, obj] = True
                held[stream] += 1
        while True:
            gone = release(state, obj, now, 1)
            if gone == KEPT:
                break
            resident[stream, gone] = False
            held[stream] -= 1


_OPTIONS = {"nogil": True, "boundscheck": False, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
_STARTED = time.time()


def serve_for(state: Any) -> Any:
    """Return `serve` compiled for this type of state; interpreted for an object with methods."""
    if not isinstance(state, tuple):
        kernels_of(state)
        return serve
    return _compiled(_kinds(state))


def _kinds(state: Any) -> tuple[type, ...]:
    """The types of the state and of the named tuples in it: numba tells named tuples apart by their fields alone."""
    return (type(state), *(kind for part in state if isinstance(part, tuple) for kind in _kinds(part)))


@cache
def _compiled(kinds: tuple[type, ...]) -> Any:
    import numba

    from ....traces.home import cache_home
    from ....traces.jit import compiled, source_digest

    sources = [*_sources(), *_defined_in(kinds[0])]
    if not _defined_in(kinds[0]) or any(path.stat().st_mtime > _STARTED for path in sources):
        return numba.njit(**_OPTIONS)(serve)  # typed at a prompt, or changed since it was imported: kept by nobody
    return compiled(cache_home() / "kernels" / f"paging-{source_digest(sources)}", **_OPTIONS)(serve)


@cache
def _sources() -> list[Path]:
    """All files whose code may end up in the loop."""
    return sorted(Path(policies.__file__).parent.rglob("*.py"))


def _defined_in(kind: type) -> list[Path]:
    try:
        return [file] if (file := Path(inspect.getfile(kind))).is_file() else []
    except (TypeError, OSError):
        return []
