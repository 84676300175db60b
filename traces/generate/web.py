"""The demo trace: three days of a small web site, with everything that makes caching hard."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .columns import Columns, Dice, arrivals, check, object_sizes, whole_number, zipf_ranks
from .drift import drifting_keys
from .registry import generator

__all__ = ["demo"]

_OBJECTS, _ALPHA, _DRIFT_REQUESTS = 12_000, 0.9, 60
_ONE_HIT_SHARE = 0.18
_CRAWL_SHARE, _CRAWL_RUN, _CRAWLED = 0.16, 800, 9_000
_SIZES = "lognormal:mean=24KiB:sigma=1.4"
_DAY_S = 86400.0


@generator
def demo(n_requests: int = 150_000, days: float = 3.0, seed: int = 0) -> Columns:
    """A web site's three days: Zipf with drift, a crawler's scans, one-hit wonders, day and night.

    12,000 pages of Zipf popularity (alpha 0.9) that cool down as new ones appear; 18 %
    of requests to objects that never come again; 16 % by a crawler that walks through
    9,000 pages in runs of 800; lognormal sizes of 24 KiB in the mean.
    Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    dice = Dice(seed)
    keys = drifting_keys(zipf_ranks(dice.uniform(n_requests), _OBJECTS, _ALPHA), _OBJECTS, _DRIFT_REQUESTS)
    crawls = np.repeat(dice.uniform(-(-n_requests // _CRAWL_RUN)) < _CRAWL_SHARE, _CRAWL_RUN)[:n_requests]
    keys = np.where(crawls, _OBJECTS + (np.cumsum(crawls) - 1) % _CRAWLED, keys)
    once = ~crawls & (dice.uniform(n_requests) < _ONE_HIT_SHARE / (1 - _CRAWL_SHARE))
    keys = np.where(once, _OBJECTS + _CRAWLED + np.cumsum(once), keys)
    check("days", days, above=0)
    times = arrivals(n_requests, n_requests / (days * _DAY_S), dice)
    plain = keys.view(np.uint64)
    return Columns(plain, object_sizes(plain, _SIZES, seed), _evenings(times, days * _DAY_S))


def _evenings(times: npt.NDArray[np.float64], duration_s: float) -> npt.NDArray[np.float64]:
    """Bend evenly spread times so that the rate is 1.7 times the mean at 20:00 and 0.3 times at 8:00."""
    clock_s = np.linspace(0.0, duration_s, 1 + 48 * max(1, math.ceil(duration_s / _DAY_S)))
    phase = 2 * math.pi * (clock_s / _DAY_S - 20 / 24)
    passed = clock_s + 0.7 * _DAY_S / (2 * math.pi) * (np.sin(phase) - np.sin(phase[0]))
    return np.interp(times, passed * (duration_s / passed[-1]), clock_s)
