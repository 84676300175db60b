"""A policy's `evict`, compiled: here the only function of a policy that may compute for long.

The other functions stay interpreted. All of them work on the same arrays, so it does not matter which one runs how.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ... import policies
from ...policies.contract import evict, kernels_of
from ...traces.home import cache_home

__all__ = ["quick_evict"]

OPTIONS = {"nogil": True, "boundscheck": False, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}


def _evict(state, obj, now, size):  # type: ignore[no-untyped-def]
    return evict(state, obj, now, size)  # type: ignore[no-untyped-call]


def quick_evict(state: Any) -> Callable[..., Any]:
    """Return `evict` for this type of state, compiled; as it is for an object with methods.

    Compiled code is kept on disk, in a folder whose name holds a digest of all policy sources and of the files that define the
    state.
    """
    return _compiled(_kinds(state)) if isinstance(state, tuple) else kernels_of(state).evict


def _kinds(state: Any) -> tuple[type, ...]:
    """Types of the state and of the named tuples in it: numba's dispatcher tells them apart by their fields only."""
    return (type(state), *(kind for part in state if isinstance(part, tuple) for kind in _kinds(part)))


@cache
def _compiled(kinds: tuple[type, ...]) -> Callable[..., Any]:
    from ...traces.jit import compiled, source_digest

    defining = {Path(inspect.getfile(kind)) for kind in kinds}
    sources = [Path(__file__), *sorted({*Path(policies.__file__).parent.rglob("*.py"), *defining})]
    folder = cache_home() / "kernels" / f"evict-{kinds[0].__module__.rpartition('.')[2]}-{source_digest(sources)}"
    made: Callable[..., Any] = compiled(folder, **OPTIONS)(_evict)
    return made
