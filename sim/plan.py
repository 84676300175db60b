"""What to replay: capacities, warm-up and windows turned from words into numbers for one trace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..traces.errors import UsageError
from ..traces.units import Size, parse_duration, parse_size

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["Capacity", "capacity_of", "lifetimes", "states_no_ttls", "warmup_end", "window_bounds"]

MOST_WINDOWS = 100_000


@dataclass(frozen=True)
class Capacity:
    """A capacity for one trace: `amount` bytes (`byte_sizes`) or objects, and the text it came from."""

    amount: int
    byte_sizes: bool
    label: str


def capacity_of(size: str | Size, trace: RequestTrace, *, ignore_sizes: bool = False) -> Capacity:
    """Turn ``1GiB``, ``5000obj`` or ``10%`` into a capacity.

    A percentage is of the footprint: of its bytes when the trace has sizes, else of its objects; at least 1.

    Raises
    ------
    UnitError, UsageError
        A size without unit; bytes for a trace without sizes.
    """
    size = parse_size(size) if isinstance(size, str) else size
    has_sizes = trace.sizes is not None and not ignore_sizes
    if size.kind == "objects":
        return Capacity(int(size.value), False, size.label)
    if size.kind == "bytes":
        if not has_sizes:
            why = "--ignore-sizes is set" if trace.sizes is not None else f"{trace.name} has no sizes"
            raise UsageError(
                f"capacity {size.label} is in bytes, but {why}; write it in objects (5000obj) or percent (10%)"
            )
        return Capacity(int(size.value), True, size.label)
    footprint = trace.footprint_bytes if has_sizes else trace.n_objects
    assert footprint is not None
    return Capacity(max(1, int(footprint * size.value)), has_sizes, size.label)


def warmup_end(text: str | float, trace: RequestTrace) -> int:
    """Index of the first request that is counted.

    Parameters
    ----------
    text : str or float
        ``20%`` of the requests, a duration (``10min``), or a fraction in [0, 1).
    """
    if isinstance(text, str) and not text.strip().endswith("%"):
        end = int(np.searchsorted(_times(trace, "a warm-up in time"), _times(trace, "")[0] + parse_duration(text)))
    else:
        fraction = _share(text) if isinstance(text, str) else float(text)
        if not 0 <= fraction < 1:
            raise UsageError(f"a warm-up of {text} leaves nothing to count; give less than 100%")
        end = int(len(trace) * fraction)
    if end >= len(trace):
        raise UsageError(f"a warm-up of {text} leaves nothing to count: {trace.name} ends before")
    return end


def window_bounds(text: str | float, trace: RequestTrace, start: int) -> npt.NDArray[np.int64]:
    """Indices at which windows begin, and at last the number of requests; windows without requests vanish.

    Parameters
    ----------
    text : str or float
        A duration (``10min``; a float is seconds), or a number of requests (``100000req``).
    start : int
        The first request of the first window.
    """
    n = len(trace)
    if isinstance(text, str) and text.strip().endswith("req"):
        step = _requests(text)
        if (n - start) / step > MOST_WINDOWS:
            raise UsageError(f"windows of {text} would give more than {MOST_WINDOWS} rows; take longer ones")
        return np.append(np.arange(start, n, step), n)
    seconds = parse_duration(text) if isinstance(text, str) else float(text)
    times = _times(trace, "windows in time")
    if seconds <= 0:
        raise UsageError(f"a window of {text} is empty; give more than 0s")
    count = math.floor((times[-1] - times[start]) / seconds) + 1
    if count > MOST_WINDOWS:
        raise UsageError(f"windows of {text} would give {count} rows; take longer ones")
    edges = times[start] + seconds * np.arange(count)
    return np.unique(np.append(np.searchsorted(times, edges), n))


def lifetimes(ttl: str | float | None, trace: RequestTrace) -> npt.NDArray[np.float32] | None:
    """Lifetime of each request's object, seconds: from the trace (``"trace"``) or the same for all (``"60s"``).

    None when nothing expires: without `ttl`, or when the trace states none (`states_no_ttls` says so beforehand).

    Raises
    ------
    UsageError
        The trace has no times by which lifetimes could run out.
    """
    if ttl is None or states_no_ttls(ttl, trace):
        return None
    _times(trace, "a TTL")
    if ttl == "trace":
        return trace.ttls
    seconds = parse_duration(ttl) if isinstance(ttl, str) else float(ttl)
    same = np.full(len(trace), seconds, np.float32)
    same.setflags(write=False)
    return same


def states_no_ttls(ttl: str | float | None, trace: RequestTrace) -> bool:
    """Return whether the TTLs of the trace were asked for and it has none: nothing will expire, which must be said."""
    return ttl == "trace" and trace.ttls is None


def _times(trace: RequestTrace, what: str) -> Any:
    if trace.times is None:
        raise UsageError(f"{what} needs the times of the requests, which {trace.name} does not have")
    return trace.times


def _share(text: str) -> float:
    try:
        return float(text.strip()[:-1]) / 100
    except ValueError:
        raise UsageError(f"warm-up {text!r} is not a number with %; write it as 20%") from None


def _requests(text: str) -> int:
    try:
        step = int(float(text.strip()[:-3]))
    except ValueError:
        step = 0
    if step < 1:
        raise UsageError(f"window {text!r} is no number of requests; write it as 100000req")
    return step
