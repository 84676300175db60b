"""W-TinyLFU: throw away the less requested of two: who leaves a small window, or who leaves the main cache.

New objects enter a window in LRU order. Who must leave it meets the oldest object on probation in the main cache, and the
one that a sketch of past requests knows as less frequent goes (at a tie the newcomer to the main cache). A hit on
probation moves an object to the protected part, whose oldest falls back to probation when it is over its share.

The window's share adapts by hill climbing: after every sample of requests its hit ratio is compared with the one
before; when it rose the window's edge moves on in the same direction, otherwise back, by a step that shrinks, and is as
wide as at first again when the hit ratio jumps.

State: three lists on one shelf, a part per slot, and a sketch.
Source: Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM Transactions on Storage
13(4), 2017, section 4; the window: Einziger, Eytan, Friedman, Manes, "Adaptive software cache management", Middleware
2018, section 3; sizes, defaults and the random admission as in Caffeine.
Differs from Caffeine: maintenance happens with each request and not in batches; samples begin with the first request and
end with a miss; an object too large for the window meets the main cache's victim at once. Differs from libCacheSim: there
the window does not adapt, it is empty in caches of less than 100 objects, and the sketch does not count hits in it.
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
from ...shelf import Shelf, give_back, make_shelf, oldest, push, take, unlink
from ...sketch import Sketch, add, estimate, expected_residents, make_sketch

__all__ = ["Wtinylfu"]

_WINDOW, _PROBATION, _PROTECTED = 0, 1, 2
_WINDOW_ROOM, _PROTECTED_ROOM, _WINDOW_USED, _PROTECTED_USED, _HITS, _MISSES, _SAMPLE, _CAPACITY = range(8)
_STEP, _HIT_RATIO = 0, 1

STEP = 0.0625
"""First step of the climb, as a share of the cache."""
STEP_DECAY = 0.98
RESTART = 0.05
"""A change of the hit ratio that sets the step back to `STEP`."""
WARM = 6
"""From this frequency on, a newcomer that loses is let in once in `ODDS` times all the same."""
ODDS = 128


class State(NamedTuple):
    """What W-TinyLFU remembers.

    Attributes
    ----------
    shelf : Shelf
        Lists: window, probation, protected.
    part : uint8[slots]
        The list that a slot is in.
    sketch : Sketch
    numbers : int64[8]
        Bytes (or objects) that window and protected part may hold, and do hold; hits and misses in this sample, its
        length, and the capacity.
    climb : float64[2]
        Next step of the window, in bytes (or objects), and the hit ratio of the last sample.
    rng : uint64[1]
    stored : int64[n_objects], bytes, or None
    """

    shelf: Shelf
    part: Any
    sketch: Sketch
    numbers: Any
    climb: Any
    rng: Any
    stored: Any


@policy(title="W-TinyLFU", year=2017, source="https://doi.org/10.1145/3149371", random=True)
@dataclass(frozen=True)
class Wtinylfu(Policy):
    """A window in front of a segmented LRU, with admission by frequency; the window adapts.

    Parameters
    ----------
    window : float
        Share of the cache that the window has at first, 0 .. 1; it holds at least one object.
    protected : float
        Share of the rest that is protected at first, 0 .. 1.
    adaptive : bool
        Whether the window's share adapts.
    sample : int
        Requests per resident object that fill a sample, and that halve the sketch.
    """

    window: float = 0.01
    protected: float = 0.8
    adaptive: bool = True
    sample: int = 10

    def __post_init__(self) -> None:
        for name in ("window", "protected"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"wtinylfu: {name}={getattr(self, name)} is no share; it must be from 0 to 1")
        if self.sample < 1:
            raise UsageError(f"wtinylfu: sample={self.sample} must be at least 1")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        window_room = max(1, setting.capacity - int(setting.capacity * (1.0 - self.window)))
        protected_room = int((setting.capacity - window_room) * self.protected)
        sample = self.sample * expected_residents(setting) if self.adaptive else np.iinfo(np.int64).max
        numbers = [window_room, protected_room, 0, 0, 0, 0, sample, setting.capacity]
        return State(
            make_shelf(setting.n_objects, setting.max_resident, 3),
            np.zeros(setting.max_resident, np.uint8),
            make_sketch(setting, self.sample),
            np.array(numbers, np.int64),
            np.array([-STEP * setting.capacity, 0.0]),
            setting.random_state(),
            setting.stored,
        )


def _find(state, obj):
    return state.shelf.slot_of[obj] >= 0


@helper
def _move(state, slot, part):
    """Make a slot the newest of another part."""
    heavy = weight(state.stored, state.shelf.obj_of[slot])
    _leave(state, slot, heavy)
    _enter(state, slot, part, heavy)


@helper
def _leave(state, slot, heavy):
    unlink(state.shelf, slot)
    if state.part[slot] == _WINDOW:
        state.numbers[_WINDOW_USED] -= heavy
    elif state.part[slot] == _PROTECTED:
        state.numbers[_PROTECTED_USED] -= heavy


@helper
def _enter(state, slot, part, heavy):
    push(state.shelf, part, slot)
    state.part[slot] = part
    if part == _WINDOW:
        state.numbers[_WINDOW_USED] += heavy
    elif part == _PROTECTED:
        state.numbers[_PROTECTED_USED] += heavy


@helper
def _demote(state):
    """Let the oldest of the protected fall back to probation until the others keep to their share."""
    while state.numbers[_PROTECTED_USED] > state.numbers[_PROTECTED_ROOM]:
        _move(state, oldest(state.shelf, _PROTECTED), _PROBATION)


def _hit(state, obj, now, size):
    add(state.sketch, obj)
    state.numbers[_HITS] += 1
    slot = np.int64(state.shelf.slot_of[obj])  # one type of slot everywhere: numba compiles each helper once
    part = np.int64(state.part[slot])
    if part == _PROBATION and weight(state.stored, obj) <= state.numbers[_PROTECTED_ROOM]:
        _move(state, slot, _PROTECTED)
        _demote(state)
    else:
        unlink(state.shelf, slot)
        push(state.shelf, part, slot)


def _admit(state, obj, now, size):
    add(state.sketch, obj)
    state.numbers[_MISSES] += 1
    if state.numbers[_HITS] + state.numbers[_MISSES] >= state.numbers[_SAMPLE]:
        _climb(state)
    return True


def _insert(state, obj, now, size):
    slot = take(state.shelf, obj)
    _enter(state, slot, _PROBATION if size > state.numbers[_WINDOW_ROOM] else _WINDOW, size)
    while state.numbers[_WINDOW_USED] > state.numbers[_WINDOW_ROOM]:
        _move(state, oldest(state.shelf, _WINDOW), _PROBATION)


def _evict(state, obj, now, size):
    shelf = state.shelf
    victim = oldest(shelf, _PROBATION)
    if victim < 0:
        victim = oldest(shelf, _PROTECTED)
    if size > state.numbers[_WINDOW_ROOM]:  # the newcomer does not fit the window: it is the candidate itself
        if victim >= 0:
            if not _beats(state, obj, shelf.obj_of[victim]):
                return obj
        else:
            victim = oldest(shelf, _WINDOW)
    elif victim < 0:
        victim = oldest(shelf, _WINDOW)
    elif state.numbers[_WINDOW_USED] + size > state.numbers[_WINDOW_ROOM]:
        candidate = oldest(shelf, _WINDOW)
        if _beats(state, shelf.obj_of[candidate], shelf.obj_of[victim]):
            _move(state, candidate, _PROBATION)
        else:
            victim = candidate
    _leave(state, victim, weight(state.stored, shelf.obj_of[victim]))
    return give_back(shelf, victim)


@helper
def _beats(state, candidate, victim):
    """Is the candidate worth more? A warm one that loses has a small chance, lest collisions shut it out for ever."""
    frequency = estimate(state.sketch, candidate)
    return frequency > estimate(state.sketch, victim) or (frequency >= WARM and random_below(state.rng, ODDS) == 0)


@helper
def _climb(state):
    """Move the window's share on or back, as the hit ratio of the sample tells."""
    numbers, climb = state.numbers, state.climb
    hit_ratio = numbers[_HITS] / (numbers[_HITS] + numbers[_MISSES])
    change = hit_ratio - climb[_HIT_RATIO]
    step = climb[_STEP] if change >= 0.0 else -climb[_STEP]
    if abs(change) < RESTART:
        climb[_STEP] = step * STEP_DECAY
    else:
        climb[_STEP] = STEP * numbers[_CAPACITY] * (1.0 if step >= 0.0 else -1.0)
    climb[_HIT_RATIO] = hit_ratio
    numbers[_HITS] = 0
    numbers[_MISSES] = 0
    if step > 0.0:
        _widen(state, min(np.int64(step), numbers[_PROTECTED_ROOM]))
    else:
        _narrow(state, min(np.int64(-step), numbers[_WINDOW_ROOM] - 1))


@helper
def _widen(state, quota):
    """Give room of the protected part to the window, and with it the oldest of the main cache."""
    numbers = state.numbers
    numbers[_PROTECTED_ROOM] -= quota
    numbers[_WINDOW_ROOM] += quota
    _demote(state)
    slot = oldest(state.shelf, _PROBATION)
    while slot >= 0 and weight(state.stored, state.shelf.obj_of[slot]) <= quota:
        quota -= weight(state.stored, state.shelf.obj_of[slot])
        _move(state, slot, _WINDOW)
        slot = oldest(state.shelf, _PROBATION)


@helper
def _narrow(state, quota):
    """Give room of the window to the protected part; who no longer fits goes on probation."""
    numbers = state.numbers
    numbers[_WINDOW_ROOM] -= quota
    numbers[_PROTECTED_ROOM] += quota
    while numbers[_WINDOW_USED] > numbers[_WINDOW_ROOM]:
        _move(state, oldest(state.shelf, _WINDOW), _PROBATION)


kernels(State, _find, _hit, _insert, _evict, admit=_admit)
