"""SLRU: throw away the least recently used of those who were not requested again.

Newcomers enter the lowest segment. A hit lifts the object one segment up, to its newest end; who falls off the oldest end of
an upper segment enters the next lower one at the newest end. The victim is the oldest of the lowest segment that has members.

State: one list per segment on a shelf, and each slot's segment.
Source: Karedla, Love, Wherry, "Caching strategies to improve disk system performance", IEEE Computer 27(3), 1994 (two
segments); Huang et al., "An analysis of Facebook photo caching", SOSP 2013, section 6 (S4LRU: four equal ones, which is
``slru:segments=4:protected=0.75`` here).

Differs from libCacheSim 0.3.5 (S4LRU): there, while the cache fills, newcomers that find the lowest segment full enter the
lowest segment that has room; `spill` does the same. With it, both agree request by request on unit sizes where 4 divides the
capacity. Where it does not, and on byte sizes, its segments do not add up to what they hold, and a *hit* that overflows the
lowest segment evicts an object from a cache that is not over its capacity; here a hit never evicts. Least trace: capacity 5,
requests 1 2 3 4 5 1 5: its hit of 1 evicts 5. It also refuses objects larger than the lowest segment; here they enter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels, weight
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, bottom, give_back, make_shelf, oldest, push, take, unlink

__all__ = ["Slru"]


class State(NamedTuple):
    """What SLRU remembers.

    Attributes
    ----------
    shelf : Shelf
        One list per segment.
    segment : uint8[most residents]
        By slot.
    held, share : int64[segments], bytes, or objects when sizes are off
        Weight and budget of each segment. The lowest segment's budget matters only while `spill` looks for room.
    spill : uint8[1]
    stored : int64[n_objects], bytes, or None
        The setting's.
    """

    shelf: Shelf
    segment: Any
    held: Any
    share: Any
    spill: Any
    stored: Any


@policy(title="SLRU", year=1994, source="https://doi.org/10.1109/2.268884")
@dataclass(frozen=True)
class Slru(Policy):
    """Segmented LRU.

    Parameters
    ----------
    segments : int, 2 .. 64
    protected : float, 0 .. 1
        Share of the segments above the lowest in the capacity; they divide it equally, rounded down.
    spill : bool
        Whether newcomers enter the lowest segment with room, instead of always the lowest.
    """

    segments: int = 2
    protected: float = 0.8
    spill: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.segments <= 64:
            raise UsageError(f"slru: segments={self.segments} is not within 2 .. 64 (lru is what one segment would be)")
        if not 0 <= self.protected <= 1:
            raise UsageError(f"slru: protected={self.protected} is not within 0 .. 1")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        share = np.full(self.segments, int(setting.capacity * self.protected / (self.segments - 1)), np.int64)
        share[0] = setting.capacity - share[1:].sum()
        return State(
            make_shelf(setting.n_objects, setting.max_resident, self.segments),
            np.zeros(setting.max_resident, np.uint8),
            np.zeros(self.segments, np.int64),
            share,
            np.array([self.spill], np.uint8),
            setting.stored,
        )


def _find(state, obj):
    return state.shelf.slot_of[obj] >= 0


@helper
def _move(state, slot, to):
    """Put a resident at the newest end of a segment."""
    held = weight(state.stored, state.shelf.obj_of[slot])
    unlink(state.shelf, slot)
    push(state.shelf, to, slot)
    state.held[state.segment[slot]] -= held
    state.held[to] += held
    state.segment[slot] = to


def _hit(state, obj, now, size):
    slot = state.shelf.slot_of[obj]
    at = np.int64(state.segment[slot])
    if at + 1 == len(state.share):
        unlink(state.shelf, slot)
        push(state.shelf, at, slot)
    else:
        at += 1
        _move(state, slot, at)
        while at > 0:
            while state.held[at] > state.share[at]:
                _move(state, bottom(state.shelf, at), at - 1)
            at -= 1


def _insert(state, obj, now, size):
    to = 0
    if state.spill[0]:
        while to < len(state.share) and state.held[to] + size > state.share[to]:
            to += 1
        if to == len(state.share):
            to = 0
    slot = take(state.shelf, obj)
    state.segment[slot] = to
    state.held[to] += size
    push(state.shelf, to, slot)


@helper
def _lowest(state):
    slot = oldest(state.shelf, 0)
    at = 0
    while slot < 0:
        at += 1
        slot = oldest(state.shelf, at)
    return slot


def _peek(state, obj, now, size):
    return state.shelf.obj_of[_lowest(state)]


def _evict(state, obj, now, size):
    slot = _lowest(state)
    unlink(state.shelf, slot)
    victim = give_back(state.shelf, slot)
    state.held[state.segment[slot]] -= weight(state.stored, victim)
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
