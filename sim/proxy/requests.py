"""What comes in: objects, arrival times on the simulated clock, sizes to charge, lifetimes; and what became of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...traces.errors import CapabilityError
from ...traces.units import parse_duration
from ..plan import lifetimes
from .delay import TICKS

if TYPE_CHECKING:
    from ...traces.request import RequestTrace
    from .config import ProxyConfig

__all__ = ["Requests"]


class Requests:
    """The requests of a trace as they reach the proxy.

    Parameters
    ----------
    trace : RequestTrace
    config : ProxyConfig
    charged : int64[n_requests] or None
        What each object takes on disk; None charges 1.

    Attributes
    ----------
    outcomes : uint8[n_requests]
        See `evictlab.sim.proxy.outcome`.
    latency : float32[n_requests], seconds
        From arrival to the last byte at the client.
    seconds : float64[n_requests]
        Arrivals, by the clock of the trace or, with another speed or rate, from 0.
    ttls : float32[n_requests], seconds, or None
        How long each response is fresh.
    ticks : int64[n_requests]
        The same since the full second before the first, see `evictlab.sim.proxy.delay.TICKS`.

    Raises
    ------
    CapabilityError
        A trace without times, and no rate.
    """

    def __init__(self, trace: RequestTrace, config: ProxyConfig, charged: npt.NDArray[np.int64] | None) -> None:
        self._ids, self._sizes, self._charged = trace.ids, trace.sizes, charged
        self._whole = config.whole_seconds
        self.ttls = _lifetimes(trace, config)
        self.outcomes = np.zeros(len(trace), np.uint8)
        self.latency = np.zeros(len(trace), np.float32)
        self.seconds = _arrivals(trace, config)
        self.ticks = np.rint((self.seconds - math.floor(self.seconds[0])) * TICKS).astype(np.int64)

    def __len__(self) -> int:
        return len(self._ids)

    def rows(self, start: int, stop: int) -> list[tuple[int, int, float, Any]]:
        """Return object, tick and second of arrival, and charge of requests start .. stop-1."""
        part = slice(start, stop)
        ids = self._ids[part].tolist()
        charged = [1] * len(ids) if self._charged is None else list(self._charged[part])
        return list(zip(ids, self.ticks[part].tolist(), self.seconds[part].tolist(), charged, strict=True))

    def size(self, i: int) -> int:
        """Return the bytes of the body, 0 where the trace has no sizes."""
        return 0 if self._sizes is None else int(self._sizes[i])

    def charged(self, i: int) -> Any:
        """Return what the object takes on disk: an int64, so that policies compute with it what they do when compiled."""
        return 1 if self._charged is None else self._charged[i]

    def arrived(self, i: int) -> int:
        """Return the tick of arrival."""
        return int(self.ticks[i])

    def second(self, i: int, now: int) -> float:
        """Return tick `now` in seconds of the trace; exactly that of its arrival where no time has passed."""
        return float(self.seconds[i]) + (now - int(self.ticks[i])) / TICKS

    def stale_from(self, i: int, now: int) -> float:
        """Return the second from which a response for request `i` that came at `now` is expired."""
        if self.ttls is None:
            return math.inf
        lifetime, second = float(self.ttls[i]), self.second(i, now)
        if self._whole and lifetime < math.inf:  # fresh while floor(now) <= floor(second) + lifetime
            return math.floor(second) + math.floor(lifetime) + 1
        return second + lifetime


def _lifetimes(trace: RequestTrace, config: ProxyConfig) -> npt.NDArray[np.float32] | None:
    """As `evictlab.sim.plan.lifetimes`, also for a trace without times, which a rate has given."""
    if trace.times is not None or config.ttl is None or config.ttl == "trace":
        return trace.ttls if config.ttl == "trace" else lifetimes(config.ttl, trace)
    seconds = parse_duration(config.ttl) if isinstance(config.ttl, str) else config.ttl
    return np.full(len(trace), seconds, np.float32)


def _arrivals(trace: RequestTrace, config: ProxyConfig) -> npt.NDArray[np.float64]:
    if config.rate_per_s is not None:
        return np.arange(len(trace)) / config.rate_per_s
    if trace.times is None:
        raise CapabilityError(
            f"{trace.name or 'the trace'} has no times at which requests arrive; give a rate, as in --rate 500/s"
        )
    if config.speed is not None:
        return np.asarray((trace.times - trace.times[0]) / config.speed)
    return trace.times
