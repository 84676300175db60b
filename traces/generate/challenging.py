"""The other workload in Cold-RL's repository, "challenging web": six kinds of content, a hot set, and a drifting window.

What is certain: the rules below are those of the authors' public generator, which draws without a seed. A request is

- with probability repeat x locality one of the last 1000 different objects to have entered a window, by weights that begin
  at 1 and grow by a tenth with each request, up to 10; the object that entered first leaves first, whatever its weight;
- else, in four of five cases, one of the hot objects by a Zipf law, and in the fifth any object, all alike.

So "repeat" is less than it sounds: what is not a repeat is drawn from the same objects, and nearly all of it was seen
before. Sizes are lognormal by kind (sigma 1, median at three tenths of the kind's range) and clipped to that range; each
request then varies the size by a fifth and the TTL by half to double, so that both leave the ranges a little. Which of its
workloads the paper means by its second one is not known; the authors' stored results are for level hard with 12,000 objects.

Our reading: an object's popularity has nothing to do with its kind, as there. Cumulative gaps are an addition: with the
authors' clock the window is spread over the trace, and most of the locality is gone.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import UnknownNameError
from .columns import Columns, Dice, whole_number, zipf_ranks
from .registry import generator

__all__ = ["challenging"]


class _Level(NamedTuple):
    repeat: float
    alpha: float
    locality: float
    hot_share: float


_LEVELS = {
    "easy": _Level(0.95, 1.8, 0.8, 0.1),
    "medium": _Level(0.80, 1.2, 0.6, 0.3),
    "hard": _Level(0.70, 0.9, 0.4, 0.5),
}


class _Kind(NamedTuple):
    """One kind of content: share of the objects, bytes, TTL in seconds, and seconds until the origin's first byte."""

    share: float
    bytes: tuple[int, int]
    ttl_s: tuple[int, int]
    origin_s: float


_HOUR, _DAY = 3_600, 86_400

_KINDS = {
    "image": _Kind(0.40, (5_000, 500_000), (_DAY, 7 * _DAY), 0.03),
    "page": _Kind(0.25, (2_000, 100_000), (300, _HOUR), 0.05),
    "api": _Kind(0.15, (200, 10_000), (60, 300), 0.02),
    "static": _Kind(0.10, (1_000, 50_000), (_DAY, 30 * _DAY), 0.02),
    "document": _Kind(0.05, (50_000, 5_000_000), (_HOUR, _DAY), 0.1),
    "media": _Kind(0.05, (1_000_000, 50_000_000), (7 * _DAY, 30 * _DAY), 0.2),
}

_HOT = 0.8
_WINDOW, _GROWTH, _HEAVIEST = 1_000, 1.1, 10.0
_MEAN_GAP_S = 2.0
_ORIGIN_S_PER_BYTE, _ORIGIN_JITTER_S = 0.1 / 2**20, 0.01


@generator
def challenging(
    n_requests: int = 200_000, n_objects: int = 10_000, level: str = "medium", clock: str = "scrambled", seed: int = 0
) -> Columns:
    """Cold-RL's "challenging web": six kinds of content from API calls to media, a hot set, and a window of recent objects.

    ``level`` is easy, medium or hard: from requests that mostly repeat the recent and few hot objects (Zipf 1.8 over a
    tenth of them) to ones spread thinly (Zipf 0.9 over half). Carries sizes (200 B to 50 MB), TTLs (a minute to 30 days)
    and origin times. With ``clock=scrambled`` the time of request i is i gaps of its own length, sorted afterwards, as in
    the authors' generator. Parameters: `evictlab.traces.generate.registry.HELP`.
    """
    n_requests = whole_number("n_requests", n_requests, 1)
    n_objects = whole_number("n_objects", n_objects, 10, 1_000_000)
    if level not in _LEVELS:
        raise UnknownNameError("level", level, tuple(_LEVELS))
    if clock not in ("scrambled", "cumulative"):
        raise UnknownNameError("clock", clock, ("scrambled", "cumulative"))
    dice = Dice(seed)
    objects = _Objects(n_objects, dice)
    keys = _keys(n_requests, n_objects, _LEVELS[level], dice)
    sizes = np.maximum((objects.sizes[keys] * (0.8 + 0.4 * dice.uniform(n_requests))).astype(np.int64), 1)
    ttls = np.maximum((objects.ttls_s[keys] * (0.5 + 1.5 * dice.uniform(n_requests))).astype(np.int64), 60)
    costs = objects.origin_s[keys] + sizes * _ORIGIN_S_PER_BYTE + _exponential(n_requests, _ORIGIN_JITTER_S, dice)
    gaps_s = _exponential(n_requests, _MEAN_GAP_S, dice)
    if clock == "cumulative":
        times = np.cumsum(gaps_s)
    else:
        times = np.arange(n_requests) * gaps_s
        order = np.argsort(times, kind="stable")
        keys, sizes, times, ttls, costs = keys[order], sizes[order], times[order], ttls[order], costs[order]
    return Columns(keys.astype(np.uint64), sizes, times, ttls.astype(np.float32), costs.astype(np.float32))


class _Objects:
    """All that is drawn once per object: ``sizes`` int64 bytes, ``ttls_s`` int64, ``origin_s`` float64."""

    def __init__(self, n_objects: int, dice: Dice) -> None:
        kinds = list(_KINDS.values())
        ends = np.cumsum([kind.share for kind in kinds])[:-1]
        kind = np.searchsorted(ends, dice.uniform(n_objects), side="right")
        low, high = np.array([k.bytes for k in kinds], np.float64)[kind].T
        normal = np.sqrt(-2 * np.log1p(-dice.uniform(n_objects))) * np.cos(2 * np.pi * dice.uniform(n_objects))
        self.sizes = np.clip((low + 0.3 * (high - low)) * np.exp(normal), low, high).astype(np.int64)
        shortest, longest = np.array([k.ttl_s for k in kinds])[kind].T
        self.ttls_s = shortest + (dice.uniform(n_objects) * (longest - shortest + 1)).astype(np.int64)
        self.origin_s = np.array([k.origin_s for k in kinds])[kind]


def _exponential(n: int, mean: float, dice: Dice) -> npt.NDArray[np.float64]:
    return np.asarray(-np.log1p(-dice.uniform(n)) * mean)


def _keys(n_requests: int, n_objects: int, level: _Level, dice: Dice) -> npt.NDArray[np.int64]:
    """The object of each request, int64[n_requests], in the order in which they are drawn."""
    hot = zipf_ranks(dice.uniform(n_requests), int(n_objects * level.hot_share), level.alpha)
    keys = np.where(dice.uniform(n_requests) < _HOT, hot, dice.below(n_requests, n_objects))
    recent = dice.uniform(n_requests) < level.repeat * level.locality
    _compiled()(keys, recent, dice.uniform(n_requests), n_objects)
    return keys


@cache
def _compiled() -> Any:
    """The walk, compiled when first asked for: a list of the generators must not wait for numba."""
    from ..jit import kernel

    return kernel()(_walk)


def _walk(keys: Any, recent: Any, uniform: Any, n_objects: Any) -> None:
    """Replace the keys of `recent` requests by draws from the window, and let all requests move the window on."""
    window = np.full(_WINDOW, -1, np.int64)  # a ring: who enters takes the place of who entered first
    weight = np.zeros(_WINDOW)
    place = np.full(n_objects, -1, np.int64)
    entered = 0
    total = 0.0
    for i in range(len(keys)):
        if recent[i] and entered > 0:
            left = uniform[i] * total
            at = 0
            last = min(entered, _WINDOW) - 1
            while at < last and left >= weight[at]:
                left -= weight[at]
                at += 1
            keys[i] = window[at]
        obj = keys[i]
        at = place[obj]
        if at >= 0:
            heavier = min(weight[at] * _GROWTH, _HEAVIEST)
            total += heavier - weight[at]
            weight[at] = heavier
        else:
            at = entered % _WINDOW
            entered += 1
            if window[at] >= 0:
                place[window[at]] = -1
            total += 1.0 - weight[at]
            window[at], weight[at] = obj, 1.0
            place[obj] = at
