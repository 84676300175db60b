"""CLOCK-Pro: throw away the cold page that has waited longest, unless it was referenced meanwhile.

LIRS with reference bits: a hit only sets a bit. Pages are hot or cold; a page that enters is cold and in its test period,
which goes on, even after it was thrown away, until HAND_hot has passed it. A page referenced within its test period has a
shorter reuse distance than the oldest hot page: it becomes hot, and HAND_hot turns a hot page without bit into a cold one.
The room for cold pages grows by each page referenced in its test period, and shrinks by each that was not.

State: one byte per object, and three queues with holes: the clock (hot pages and those in test, HAND_hot at the oldest),
the resident cold pages (HAND_cold at the oldest) and the pages in test (HAND_test at the oldest).
Source: Jiang, Chen, Zhang, "CLOCK-Pro: an effective improvement of the CLOCK replacement", USENIX ATC 2005, section 4.
Where the text is silent: as in the authors' program, the cache first fills with hot pages and with the least room for cold
ones; HAND_cold goes by the order in which pages became cold, whatever HAND_hot has passed since; a page referenced but not
yet seen by HAND_cold when its test period ends keeps its bit, and does not count against the room for cold pages.
Differs from libCacheSim 0.3.5, whose ClockPro is below random replacement on OLTP traces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels, weight
from ...log import Log, append, make_log, oldest, positions
from ...registry import Policy, policy
from ...remembered import make_remembered, remember
from ...setting import Setting

__all__ = ["Clockpro"]

_RESIDENT, _REFERENCED, _HOT, _TEST = 1, 2, 4, 8
_HOT_BYTES, _N_COLD, _GHOST_BYTES, _COLD_ROOM, _LEAST_COLD, _GHOST_LIMIT, _CAPACITY, _FILLING, _ADAPTIVE = range(9)


class State(NamedTuple):
    """What CLOCK-Pro remembers.

    Attributes
    ----------
    mark : uint8[n_objects]
        Sum of 1 resident, 2 referenced, 4 hot, 8 in its test period.
    clock, cold, tests : Log
    clock_at, cold_at, tests_at : int32[n_objects]
        Places in these queues.
    scalars : int64[9]
        Bytes (or objects) that are hot, number of resident cold pages, bytes of ghosts, room for cold pages, its least,
        limit of ghosts, capacity, 1 until the first eviction, and 1 when the room adapts.
    stored, kept : int64[n_objects] or None
        Bytes charged for residents, and for ghosts.
    """

    mark: Any
    clock: Log
    clock_at: Any
    cold: Log
    cold_at: Any
    tests: Log
    tests_at: Any
    scalars: Any
    stored: Any
    kept: Any


@policy(
    title="CLOCK-Pro",
    year=2005,
    source="https://www.usenix.org/conference/2005-usenix-annual-technical-conference/clock-pro-effective-improvement-clock-replacement",
)
@dataclass(frozen=True)
class Clockpro(Policy):
    """LIRS with reference bits and three clock hands.

    Parameters
    ----------
    cold : float
        Least room for resident cold pages, as a share of the cache; at least 1 object (or byte).
    ghosts : float
        Limit of cold pages that are no longer resident, as a multiple of the cache.
    adaptive : bool
        Whether the room for cold pages grows and shrinks; otherwise it stays at its least.
    """

    cold: float = 0.01
    ghosts: float = 1.0
    adaptive: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.cold <= 1:
            raise UsageError(
                f"clockpro: cold={self.cold} is no share of the cache; expected 0 to 1, for example cold=0.01"
            )
        if not 0 <= self.ghosts <= 100:
            raise UsageError(f"clockpro: ghosts={self.ghosts}; expected 0 to 100 times the cache, for example ghosts=1")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        n = setting.n_objects
        least = max(1, int(self.cold * setting.capacity))
        limit = int(self.ghosts * setting.capacity)
        known = n if setting.stored is not None else min(n, setting.max_resident + limit + 1)
        return State(
            np.zeros(n, np.uint8),
            make_log(known),
            positions(n),
            make_log(setting.max_resident),
            positions(n),
            make_log(known),
            positions(n),
            np.array([0, 0, 0, least, least, limit, setting.capacity, 1, self.adaptive], np.int64),
            setting.stored,
            make_remembered(setting),
        )


def _find(state, obj):
    return state.mark[obj] & _RESIDENT != 0


def _hit(state, obj, now, size):
    state.mark[obj] |= _REFERENCED


def _insert(state, obj, now, size):
    scalars = state.scalars
    if state.mark[obj] & _TEST:
        scalars[_GHOST_BYTES] -= weight(state.kept, obj)
        _turn_hot(state, obj, size)
    elif scalars[_FILLING] == 1 and scalars[_HOT_BYTES] + size <= scalars[_CAPACITY] - scalars[_COLD_ROOM]:
        state.mark[obj] = _RESIDENT | _HOT
        scalars[_HOT_BYTES] += size
        append(state.clock, state.clock_at, obj)
    else:
        state.mark[obj] = _RESIDENT
        scalars[_N_COLD] += 1
        append(state.cold, state.cold_at, obj)
        _start_test(state, obj)


@helper
def _start_test(state, page):
    state.mark[page] |= _TEST
    append(state.clock, state.clock_at, page)
    append(state.tests, state.tests_at, page)


@helper
def _end_test(state, page):
    """The page was not referenced in time."""
    scalars = state.scalars
    mark = state.mark[page]
    state.mark[page] = mark ^ _TEST
    state.clock_at[page] = -1
    state.tests_at[page] = -1
    size = weight(state.stored, page)
    if mark & _RESIDENT == 0:
        size = weight(state.kept, page)
        scalars[_GHOST_BYTES] -= size
    if scalars[_ADAPTIVE] == 1 and mark & _REFERENCED == 0:
        scalars[_COLD_ROOM] = max(scalars[_COLD_ROOM] - size, scalars[_LEAST_COLD])


@helper
def _turn_hot(state, page, size):
    """The page was referenced in its test period; HAND_hot makes room among the hot."""
    scalars = state.scalars
    state.mark[page] = _RESIDENT | _HOT
    state.cold_at[page] = -1
    state.tests_at[page] = -1
    append(state.clock, state.clock_at, page)
    scalars[_HOT_BYTES] += size
    if scalars[_ADAPTIVE] == 1:
        scalars[_COLD_ROOM] = min(scalars[_COLD_ROOM] + size, scalars[_CAPACITY])
    while scalars[_HOT_BYTES] > scalars[_CAPACITY] - scalars[_COLD_ROOM]:
        _run_hand_hot(state)


@helper
def _run_hand_hot(state):
    """Turn the oldest hot page without bit cold, and stop at a hot page; test periods end on the way."""
    scalars = state.scalars
    done = False
    while scalars[_HOT_BYTES] > 0:
        page = oldest(state.clock, state.clock_at)
        mark = state.mark[page]
        if mark & _HOT == 0:
            _end_test(state, page)
        elif done:
            break
        elif mark & _REFERENCED:
            state.mark[page] = mark ^ _REFERENCED
            append(state.clock, state.clock_at, page)
        else:
            done = True
            state.mark[page] = _RESIDENT
            state.clock_at[page] = -1
            scalars[_HOT_BYTES] -= weight(state.stored, page)
            scalars[_N_COLD] += 1
            append(state.cold, state.cold_at, page)


@helper
def _run_hand_cold(state):
    """Move to a cold page without bit and return it; it stays."""
    while True:
        if state.scalars[_N_COLD] == 0:
            _run_hand_hot(state)
        page = oldest(state.cold, state.cold_at)
        mark = state.mark[page]
        if mark & _REFERENCED == 0:
            return page
        if mark & _TEST:
            state.scalars[_N_COLD] -= 1
            _turn_hot(state, page, weight(state.stored, page))
        else:
            state.mark[page] = mark ^ _REFERENCED
            append(state.cold, state.cold_at, page)
            _start_test(state, page)


def _peek(state, obj, now, size):
    return _run_hand_cold(state)


def _evict(state, obj, now, size):
    scalars = state.scalars
    scalars[_FILLING] = 0
    victim = _run_hand_cold(state)
    state.cold_at[victim] = -1
    scalars[_N_COLD] -= 1
    state.mark[victim] ^= _RESIDENT
    if state.mark[victim] & _TEST:
        bytes_held = weight(state.stored, victim)
        remember(state.kept, victim, bytes_held)
        scalars[_GHOST_BYTES] += bytes_held
        while scalars[_GHOST_BYTES] > scalars[_GHOST_LIMIT]:
            _end_test(state, oldest(state.tests, state.tests_at))  # HAND_test
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
