"""The workload behind Cold-RL's printed numbers: large objects turn out to be gems, small ones to be junk.

The class ranges, popularities, bursts and times below are those of the authors' public generator, which draws without a seed.
There kB is 1000 bytes, while the caches that it is replayed through are measured in MiB.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import UnknownNameError
from .columns import Columns, Dice, whole_number
from .registry import generator

__all__ = ["MEAN_GAP_S", "request_shares", "trap"]

_SMALL, _MEDIUM = 0.60, 0.25
"""Shares of the objects; the others are large."""

_KB = {"small": (1_000, 25_000), "medium": (25_000, 150_000), "large": (150_000, 800_000)}
"""Bytes, uniform."""

_GEMS, _GOOD = 0.70, 0.05
"""Share of the large objects that are gems, of the small ones that stay good."""

_ORIGIN_S, _ORIGIN_BYTES_PER_S = 0.05, 50 * 2**20
MEAN_GAP_S = 2.0
"""Between two requests; the scrambled clock multiplies it by the number of the request."""

_CHUNK = 500


@generator
def trap(n_requests: int = 25_000, n_objects: int = 2_000, clock: str = "scrambled", seed: int = 0) -> Columns:
    """Cold-RL's workload: gems among the large objects are discovered late, small junk fades, 90 % go to gems.

    With ``clock=scrambled`` the time of request i is i gaps of its own length, sorted afterwards, as in the authors'
    generator: that mixes the order and stretches the span ninefold. With ``clock=cumulative`` gaps add up.
    Sizes vary by 2 % from request to request. Carries TTLs (2 to 24 h) and origin times (50 ms + 50 MiB/s).
    Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 20, 100_000)
    if clock not in ("scrambled", "cumulative"):
        raise UnknownNameError("clock", clock, ("scrambled", "cumulative"))
    dice = Dice(seed)
    objects = _Objects(n_requests, n_objects, dice)
    keys = np.concatenate(
        [
            objects.drawn(np.arange(first, min(first + _CHUNK, n_requests)), dice.uniform(_CHUNK))
            for first in range(0, n_requests, _CHUNK)
        ]
    )
    sizes = np.maximum((objects.sizes[keys] * (0.98 + 0.04 * dice.uniform(n_requests))).astype(np.int64), 1)
    gaps_s = -np.log1p(-dice.uniform(n_requests)) * MEAN_GAP_S
    if clock == "cumulative":
        times = np.cumsum(gaps_s)
    else:
        times = np.arange(n_requests) * gaps_s
        order = np.argsort(times, kind="stable")
        keys, sizes, times = keys[order], sizes[order], times[order]
    ttls = objects.ttls_s[keys]
    costs = _ORIGIN_S + sizes / _ORIGIN_BYTES_PER_S
    return Columns(keys.astype(np.uint64), sizes, times, ttls.astype(np.float32), costs.astype(np.float32))


def request_shares(
    requests: npt.NDArray[np.int64], n_requests: int = 25_000, n_objects: int = 2_000, seed: int = 0
) -> npt.NDArray[np.float64]:
    """How likely each object of `trap` is at some of its requests: what no policy can know, and a ceiling for all.

    Parameters
    ----------
    requests : int64[m]
        Numbers of requests in the order in which they are drawn. That is their order in the trace with
        ``clock=cumulative``; the scrambled clock mixes it up, and is the same otherwise.
    n_requests, n_objects, seed : int
        As for `trap`.

    Returns
    -------
    float64[m, n_objects]
        By key of the trace; each row sums to 1.
    """
    weights = _Objects(n_requests, n_objects, Dice(seed))._weights(np.asarray(requests, np.int64))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


class _Objects:
    """All that is drawn once per object, and the weights that follow from it at each request."""

    def __init__(self, n_requests: int, n_objects: int, dice: Dice) -> None:
        n_small, n_medium = int(_SMALL * n_objects), int(_MEDIUM * n_objects)
        n_large = n_objects - n_small - n_medium
        self.n_requests = n_requests
        bounds = np.repeat(list(_KB.values()), (n_small, n_medium, n_large), axis=0)
        self.sizes = bounds[:, 0] + dice.uniform(n_objects) * (bounds[:, 1] - bounds[:, 0])
        self.ttls_s = 7200.0 + dice.below(n_objects, 79_200)
        number = np.arange(n_objects)
        luck, exponential = dice.uniform(n_objects), -np.log1p(-dice.uniform(n_objects))
        small, large = number < n_small, number >= n_small + n_medium
        self.gem = large & (luck < _GEMS)
        self.good = small & (luck < _GOOD)
        self.junk = small & ~self.good
        self.popularity = np.select(
            [self.good, small, ~large, self.gem],
            [8.0, 0.3 * exponential, 2.0 * exponential, 15 + 35 * dice.uniform(n_objects)],
            0.5,
        )
        self.discovered = dice.uniform(n_objects) * 0.3 * n_requests
        self.burst = 1.5 + 2.5 * dice.uniform(n_objects)

    def drawn(self, requests: npt.NDArray[np.int64], uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """The object of each of some requests, int64[m], from at least m uniform numbers."""
        cumulative = np.cumsum(self._weights(requests), axis=1)
        wanted = uniform[: len(requests)] * cumulative[:, -1]
        return np.asarray((cumulative <= wanted[:, None]).sum(axis=1), np.int64)

    def _weights(self, requests: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """float64[m, n_objects]: how likely each object is, up to a factor."""
        i = requests[:, None].astype(np.float64)
        since = i - self.discovered
        after = since >= 0
        ramp = 1 + np.minimum(since / (0.2 * self.n_requests), 1) * self.burst
        in_burst = np.sin(2 * np.pi * i / 1000 + np.arange(len(self.sizes))) > 0.6
        gem = np.where(after, ramp * np.where(in_burst, 2.5, 1.0), 0.1)
        junk = np.where(after, np.maximum(1 - since / (0.5 * self.n_requests), 0.1), 2.0)
        factor = np.where(self.gem, gem, np.where(self.junk, junk, np.where(self.good, 1.2, 1.0)))
        return np.asarray(np.maximum(self.popularity * factor, 0.01))
