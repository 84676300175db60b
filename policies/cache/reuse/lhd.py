"""LHD: throw away, out of a random sample, what promises the fewest hits per byte and time still to be held.

Hit density is expected hits divided by expected space-time until hit or eviction. It is read from a table by the object's
age and by its class, the class by the ages at its last two hits. Hits and evictions are counted by class and age; every
`period` requests the counts fade and the table is computed anew. A few residents are kept as explorers, whatever their
density, so that ages are seen at which all others are gone.

State: the residents in a dense array with what is known of each; the tables, of fixed length.
Source: Beckmann, Chen, Cidon, "LHD: improving cache hit rate by maximizing hit density", NSDI 2018, sections 4 and 5, and
for the constants the authors' program (all objects belong to one application): 16 classes, ages up to 20000, fading 0.9,
explorers 1 of 32 requests and 1 % of the room, smaller samples in the first 50 periods, ages coarsened by a power of two
that is chosen in the 6th and in the 26th period.
Differs from the program in two details: an age beyond the table counts as density -1 (there minus the largest number,
which stops the tracking of new objects for thousands of evictions), and coarsening loses no counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels, weight
from ...random import random_below
from ...registry import Policy, policy
from ...setting import Setting
from ._lhd_tables import CLASSES, class_rows, recompute

__all__ = ["Lhd"]

_SEEN, _ROW, _LAST_AGE, _EXPLORES = range(4)
_N, _BUDGET, _PERIODS, _COUNTDOWN, _PERIOD, _SHIFT, _TRACKED, _SAMPLE = range(8)
_VICTIMS = 0
_N_TRACKED = 8
_EARLY_SAMPLE, _EARLY_PERIODS = 8, 50
_EXPLORE_ONE_OF, _EXPLORER_SHARE = 32, 0.01
_FADE = 0.9
_BEYOND = -1.0


class State(NamedTuple):
    """What LHD remembers.

    Attributes
    ----------
    slot_of : int32[n_objects]
        The object's slot, -1 for none.
    obj_of : int32[most residents]
        Slots 0 .. n_residents-1 are taken.
    record : int32[most residents, 4]
        By slot: index of the last request, class (as first index of its row in the tables), age at the last hit, and 1
        for an explorer.
    rows : int32[2 * ages]
        By sum of the last two ages: the class, as first index of its row.
    density : float32[classes * ages]
        Expected hits per byte and coarse age, times bytes.
    hits, evictions : float64[classes * ages]
        How many happened at this age, fading.
    tracked : int32[8]
        Objects that looked worse than the victims when they entered.
    scalars : int64[8]
        Number of residents, bytes left for explorers, periods so far, requests left in this one, its length, shift that
        coarsens ages, number of objects tracked so far, and sample.
    averages : float64[3]
        Density of the victims, number of residents and its weight.
    rng : uint64[1]
    stored : int64[n_objects] or None
    """

    slot_of: Any
    obj_of: Any
    record: Any
    rows: Any
    density: Any
    hits: Any
    evictions: Any
    tracked: Any
    scalars: Any
    averages: Any
    rng: Any
    stored: Any


@policy(
    title="LHD",
    year=2018,
    source="https://www.usenix.org/conference/nsdi18/presentation/beckmann",
    random=True,
)
@dataclass(frozen=True)
class Lhd(Policy):
    """Least hit density, by age and class, of a sample.

    Parameters
    ----------
    sample : int
        Residents compared per eviction (8 in the first 50 periods), besides the tracked ones.
    period : int
        Requests between two computations of the table.
    ages : int
        Length of the tables; older ages are taken together.
    """

    sample: int = 32
    period: int = 1 << 20
    ages: int = 20000

    def __post_init__(self) -> None:
        for name, least in (("sample", 1), ("period", 1), ("ages", 2)):
            if getattr(self, name) < least:
                raise UsageError(f"lhd: {name}={getattr(self, name)}; expected {least} or more")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        cells = CLASSES * self.ages
        first = np.arange(CLASSES + 1, 2 * CLASSES + 1)[:, None] / np.arange(1, self.ages + 1)
        budget = int(setting.capacity * _EXPLORER_SHARE)
        return State(
            np.full(setting.n_objects, -1, np.int32),
            np.empty(setting.max_resident, np.int32),
            np.empty((setting.max_resident, 4), np.int32),
            class_rows(self.ages),
            first.astype(np.float32).ravel(),
            np.zeros(cells),
            np.zeros(cells),
            np.full(_N_TRACKED, -1, np.int32),
            np.array([0, budget, 0, self.period, self.period, 10, 0, self.sample], np.int64),
            np.zeros(3),
            setting.random_state(),
            setting.stored,
        )


def _find(state, obj):
    return state.slot_of[obj] >= 0


@helper
def _age(state, slot, now):
    age = (now - state.record[slot, _SEEN]) >> state.scalars[_SHIFT]
    return min(age, len(state.density) // CLASSES - 1)


@helper
def _density(state, slot, now):
    """Hit density of a resident: higher = keep."""
    age = _age(state, slot, now)
    if age == len(state.density) // CLASSES - 1:
        return _BEYOND
    found = np.float64(state.density[state.record[slot, _ROW] + age]) / weight(state.stored, state.obj_of[slot])
    return found + state.record[slot, _EXPLORES]


@helper
def _stop_exploring(state, slot, obj):
    if state.record[slot, _EXPLORES] == 1:
        state.record[slot, _EXPLORES] = 0
        state.scalars[_BUDGET] += weight(state.stored, obj)


@helper
def _requested(state, obj, slot, now):
    """What a hit and an entry have in common: some of the requested become explorers."""
    scalars = state.scalars
    state.record[slot, _SEEN] = now
    if scalars[_BUDGET] > 0 and scalars[_PERIODS] < _EARLY_PERIODS and random_below(state.rng, _EXPLORE_ONE_OF) == 0:
        state.record[slot, _EXPLORES] = 1
        scalars[_BUDGET] -= weight(state.stored, obj)


@helper
def _tick(state):
    scalars = state.scalars
    scalars[_COUNTDOWN] -= 1
    if scalars[_COUNTDOWN] == 0:
        scalars[_SHIFT] = recompute(
            state.density,
            state.hits,
            state.evictions,
            state.averages,
            scalars[_N],
            scalars[_PERIODS],
            scalars[_SHIFT],
        )
        scalars[_COUNTDOWN] = scalars[_PERIOD]
        scalars[_PERIODS] += 1


def _hit(state, obj, now, size):
    slot = state.slot_of[obj]
    age = _age(state, slot, now)
    state.hits[state.record[slot, _ROW] + age] += 1
    _stop_exploring(state, slot, obj)
    state.record[slot, _ROW] = state.rows[age + state.record[slot, _LAST_AGE]]
    state.record[slot, _LAST_AGE] = age
    _requested(state, obj, slot, now)
    _tick(state)


def _insert(state, obj, now, size):
    slot = state.scalars[_N]
    state.scalars[_N] = slot + 1
    state.slot_of[obj] = slot
    state.obj_of[slot] = obj
    state.record[slot, _ROW] = 0  # as if its last hit had been long ago
    state.record[slot, _LAST_AGE] = 0
    state.record[slot, _EXPLORES] = 0
    _requested(state, obj, slot, now)
    if _density(state, slot, now) < state.averages[_VICTIMS]:
        state.tracked[state.scalars[_TRACKED] % _N_TRACKED] = obj
        state.scalars[_TRACKED] += 1
    _tick(state)


def _evict(state, obj, now, size):
    scalars = state.scalars
    last = scalars[_N] - 1
    slot = last
    lowest = np.inf
    for _ in range(scalars[_SAMPLE] if scalars[_PERIODS] > _EARLY_PERIODS else min(_EARLY_SAMPLE, scalars[_SAMPLE])):
        tried = random_below(state.rng, last + 1)
        density = _density(state, tried, now)
        if density < lowest:
            lowest = density
            slot = tried
    for i in range(_N_TRACKED):
        tracked = state.tracked[i]
        if tracked >= 0:
            tried = state.slot_of[tracked]
            if tried >= 0:
                density = _density(state, tried, now)
                if density < lowest:
                    lowest = density
                    slot = tried
    state.averages[_VICTIMS] = _FADE * state.averages[_VICTIMS] + (1 - _FADE) * lowest
    victim = state.obj_of[slot]
    state.evictions[state.record[slot, _ROW] + _age(state, slot, now)] += 1
    _stop_exploring(state, slot, victim)
    moved = state.obj_of[last]
    state.slot_of[moved] = slot
    state.obj_of[slot] = moved
    for column in range(4):
        state.record[slot, column] = state.record[last, column]
    state.slot_of[victim] = -1
    scalars[_N] = last
    return victim


kernels(State, _find, _hit, _insert, _evict)
