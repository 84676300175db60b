"""AdaptSize: turn away large objects with a probability that a model of the cache tunes.

A missed object of s bytes enters with probability exp(-s/c). After every interval of requests c is chosen anew: for each
candidate a Markov model predicts the hit ratio from the sizes and request rates of the objects seen lately, and the best
candidate is taken (of nearly equal ones the largest).

The model: an object is in an LRU list from which it falls when it is not requested for T requests. One that is requested
at rate r and admitted with probability a is found there with probability a(e^rT - 1) / (1 + a(e^rT - 1)), and T is such
that the objects found there fill the cache (Che's approximation), but at most a few intervals: with a tiny c the model
would fill the cache some day, long after the rates have changed. Objects of like size and rate are summed up in one cell,
half an octave wide each way, so that tuning costs as much as a few hundred objects.

State: one line of the processor's cache per four objects, read and written by each request; the model's cells.
Source: Berger, Sitaraman, Harchol-Balter, "AdaptSize: orchestrating the hot object memory cache in a content delivery
network", NSDI 2017, section 4.
Differs from libCacheSim: T is bounded, and found by bisection, where 20 iterations of a fixed point are done there; the
hit ratio is by the formula above, not by a rational approximation of it (which is negative, and taken as 0, for a small
probability of admission: that is what keeps its c from becoming tiny); all candidates half an octave apart are tried,
where a coarse grid is refined there by golden section.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper
from ...random import random_unit
from ...registry import policy
from ...setting import Setting
from ..compose import Rule, admission

__all__ = ["Adaptsize"]

_RATE, _SIZE = 0, 1
_LEFT, _INTERVAL, _SEEN, _CAPACITY, _CELLS = range(5)
_COUNT, _CELL_SIZE, _CELL_RATE, _ODDS = range(4)

FADE = 0.3
"""Weight of the past against the last interval."""
FORGOTTEN = 0.1
"""Objects with fewer requests per interval than this are left out."""
LONGEST_STAY = 3.0
"""Greatest T, in intervals."""
NEARLY_EQUAL = 1e-4
"""A smaller c must promise a hit ratio better by this share."""
_RATE_CELLS = 64
_SIZE_CELLS = 126


class State(NamedTuple):
    """What AdaptSize remembers.

    Attributes
    ----------
    c : float64[1], bytes
        Objects of this size enter with probability 1/e.
    objects : float64[n_objects, 2]
        Requests per interval, fading, and last size in bytes; a rate of 0 means not seen lately.
    seen : int32[n_objects]
        Objects seen lately, the first `numbers[_SEEN]` of them.
    cells : float64[126 * 64, 4]
        Of like objects: how many, mean size, mean rate, and exp(size/c).
    numbers : int64[5]
        Requests until the next tuning, interval between two, objects seen lately, capacity, cells in use.
    rng : uint64[1]
    """

    c: Any
    objects: Any
    seen: Any
    cells: Any
    numbers: Any
    rng: Any


@policy(
    title="AdaptSize",
    year=2017,
    source="https://www.usenix.org/conference/nsdi17/technical-sessions/presentation/berger",
    random=True,
    admission=True,
)
@dataclass(frozen=True)
class Adaptsize(Rule):
    """Admit with probability exp(-size/c), where c is tuned by a model.

    At first c is the capacity, which admits nearly everything. Without sizes every object counts 1: then all enter with
    one probability, which the model tunes.

    Parameters
    ----------
    interval : int
        Requests between two tunings, at least 1.
    """

    interval: int = 250_000

    def __post_init__(self) -> None:
        if self.interval < 1:
            raise UsageError(f"adaptsize: interval={self.interval} must be at least 1 request")

    def make_rule(self, setting: Setting) -> State:
        """Return a fresh state of the rule."""
        return State(
            np.array([float(setting.capacity)]),
            np.zeros((setting.n_objects, 2)),
            np.empty(setting.n_objects, np.int32),
            np.zeros((_SIZE_CELLS * _RATE_CELLS, 4)),
            np.array([self.interval, self.interval, 0, setting.capacity, 0], np.int64),
            setting.random_state(),
        )


def _record(rule, obj, now, size):
    if rule.objects[obj, _RATE] == 0.0:
        rule.seen[rule.numbers[_SEEN]] = obj
        rule.numbers[_SEEN] += 1
    rule.objects[obj, _RATE] += 1.0 - FADE
    rule.objects[obj, _SIZE] = size
    rule.numbers[_LEFT] -= 1
    if rule.numbers[_LEFT] == 0:
        rule.numbers[_LEFT] = rule.numbers[_INTERVAL]
        if _gather(rule) > rule.numbers[_CAPACITY]:
            _tune(rule)


def _welcome(rule, obj, now, size):
    return random_unit(rule.rng) < math.exp(-size / rule.c[0])


@helper
def _gather(rule):
    """Sum up the objects seen lately in cells, let their rates fade, and return their bytes."""
    cells = rule.cells
    cells[:, :] = 0.0
    n_bytes = 0.0
    kept = 0
    for at in range(rule.numbers[_SEEN]):
        obj = rule.seen[at]
        rate = rule.objects[obj, _RATE]
        if rate < FORGOTTEN:
            rule.objects[obj, _RATE] = 0.0
            continue
        rule.seen[kept] = obj
        kept += 1
        size = rule.objects[obj, _SIZE]
        n_bytes += size
        row = min(int(2.0 * math.log2(size)), _SIZE_CELLS - 1)
        column = min(int(2.0 * math.log2(rate / FORGOTTEN)), _RATE_CELLS - 1)
        cell = row * _RATE_CELLS + column
        cells[cell, _COUNT] += 1.0
        cells[cell, _CELL_SIZE] += size
        cells[cell, _CELL_RATE] += rate
        rule.objects[obj, _RATE] = rate * FADE
    rule.numbers[_SEEN] = kept
    used = 0
    for cell in range(_SIZE_CELLS * _RATE_CELLS):
        count = cells[cell, _COUNT]
        if count > 0.0:
            size, rate = cells[cell, _CELL_SIZE] / count, cells[cell, _CELL_RATE] / count
            cells[used, _COUNT], cells[used, _CELL_SIZE], cells[used, _CELL_RATE] = count, size, rate
            used += 1
    rule.numbers[_CELLS] = used
    return n_bytes


@helper
def _tune(rule):
    """Set c to the candidate of the best predicted hit ratio."""
    cells, used = rule.cells, rule.numbers[_CELLS]
    demand = 0.0
    for k in range(used):
        demand += cells[k, _COUNT] * cells[k, _CELL_SIZE] * cells[k, _CELL_RATE]
    stay = rule.numbers[_CAPACITY] / demand  # no T below this fills the cache; it grows as c falls
    best, c = 0.0, float(rule.numbers[_CAPACITY])
    while c >= 1.0:
        for k in range(used):
            cells[k, _ODDS] = math.exp(min(cells[k, _CELL_SIZE] / c, 700.0))
        stay = _fill(cells, used, rule.numbers[_CAPACITY], stay)
        hits = _sum(cells, used, stay, _CELL_RATE)
        if hits > best * (1.0 + NEARLY_EQUAL):
            best = hits
            rule.c[0] = c
        c *= math.sqrt(0.5)


@helper
def _fill(cells, used, capacity, stay):
    """Return T such that the objects expected in the cache fill it, or the greatest; `stay` is one that is not too long."""
    if _sum(cells, used, LONGEST_STAY, _CELL_SIZE) <= capacity:
        return LONGEST_STAY
    longer = LONGEST_STAY
    for _ in range(25):
        middle = math.sqrt(stay * longer)
        if _sum(cells, used, middle, _CELL_SIZE) < capacity:
            stay = middle
        else:
            longer = middle
    return stay


@helper
def _sum(cells, used, stay, column):
    """Sum a column over the objects expected in the cache: bytes, or hits per interval."""
    total = 0.0
    for k in range(used):
        out = math.exp(-cells[k, _CELL_RATE] * stay)
        total += cells[k, _COUNT] * cells[k, column] * (1.0 - out) / (1.0 - out + out * cells[k, _ODDS])
    return total


admission(State, _welcome, _record)
