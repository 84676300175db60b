"""LIRS: throw away, among the few residents with long reuse distances, the one requested longest ago.

Reuse distance decides the status: blocks with short ones are LIR and stay; 1 % of the room is for HIR residents, and
victims come from there. Stack S orders all blocks by last request and reaches down to the oldest LIR block, so that a HIR
block (resident or not) requested while still in S has a shorter distance than that one: they swap their status.

State: S and the queue Q of HIR residents are queues with holes; two numbers per object say where it stands in them.
Source: Jiang, Zhang, "LIRS: an efficient low inter-reference recency set replacement policy", SIGMETRICS 2002, section 3.
Hits equal those of the authors' program, from which come two rules that the paper leaves open: while fewer than L blocks
are LIR a newcomer becomes LIR, and the repeated request of the block just requested changes nothing. Ghosts in S are
not limited (the program's limit is 2500 times the cache), unless by the parameter `ghosts`.
Differs from libCacheSim 0.3.5, which
- keeps 1 block for HIR at least (here `least=1`), and holds S to twice the cache;
- takes repeated requests as new ones: 0 1 1 2 0 in a cache of 2 misses the last request there and hits it here;
- when a HIR resident outside S is hit, demotes the oldest LIR block although none is promoted. Where Q is full that pushes
  the requested block out of Q while S goes on naming it a resident: 0 1 0 1 2 1 in a cache of 2 hits the last request there,
  with three blocks resident, and misses it here.

With byte sizes the shares are bytes; victims are taken from Q, and from the bottom of S when Q is empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels, weight
from ...log import HEAD, TAIL, Log, append, make_log, oldest, positions
from ...registry import Policy, policy
from ...remembered import make_remembered, remember
from ...setting import Setting

__all__ = ["Lirs"]

_GONE, _LIR = -1, -2
_LIR_BYTES, _LIR_LIMIT, _WAITING, _LAST, _GHOST_BYTES, _GHOST_LIMIT = range(6)
_UNLIMITED = -1


class State(NamedTuple):
    """What LIRS remembers.

    Attributes
    ----------
    place : int32[n_objects]
        -1 not resident, -2 LIR, otherwise HIR resident: where in the queue.
    height : int32[n_objects]
        Where in the stack, -1 outside.
    stack : Log
        S, oldest to newest; its tail is the oldest LIR block.
    queue : Log
        Q, the HIR residents by last request (or by when they lost their LIR status).
    ghosts : Log
        The blocks in the stack that are not resident, in the order in which they left.
    left_at : int32[n_objects]
        Where among these, -1 for none. Both are empty when ghosts are not limited.
    scalars : int64[6]
        Bytes (or objects) that are LIR, their limit, number of HIR residents, the object requested last, bytes of
        ghosts, and their limit (-1 for none).
    stored, kept : int64[n_objects] or None
        Bytes charged for residents, and for ghosts.
    """

    place: Any
    height: Any
    stack: Log
    queue: Log
    ghosts: Log
    left_at: Any
    scalars: Any
    stored: Any
    kept: Any


@policy(title="LIRS", year=2002, source="https://doi.org/10.1145/511334.511340")
@dataclass(frozen=True)
class Lirs(Policy):
    """Low inter-reference recency set.

    Parameters
    ----------
    hir : float
        Share of the cache for HIR residents, 0 to 1.
    least : int
        Not less than this many objects (or bytes) for HIR residents; but one is left for LIR where the cache holds two.
    ghosts : float
        Limit of the blocks in S that are not resident, as a multiple of the cache; those that left first are dropped.
        The paper has none (inf); Caffeine's simulator takes 2.
    """

    hir: float = 0.01
    least: int = 2
    ghosts: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.hir <= 1:
            raise UsageError(f"lirs: hir={self.hir} is no share of the cache; expected 0 to 1, for example hir=0.01")
        if self.least < 1:
            raise UsageError(f"lirs: least={self.least} leaves no room for new blocks; expected 1 or more")
        if not self.ghosts >= 0:
            raise UsageError(f"lirs: ghosts={self.ghosts}; expected 0 or more times the cache, or inf for no limit")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        room = max(int(self.hir * setting.capacity), self.least)
        room = max(1, min(room, setting.capacity - 1))
        n = setting.n_objects
        limited = math.isfinite(self.ghosts)
        limit = int(self.ghosts * setting.capacity) if limited else _UNLIMITED
        return State(
            positions(n),
            positions(n),
            make_log(n),
            make_log(setting.max_resident),
            make_log(n if limited else 0),
            positions(n if limited else 0),
            np.array([0, setting.capacity - room, 0, -1, 0, limit], np.int64),
            setting.stored,
            make_remembered(setting) if limited else None,
        )


def _find(state, obj):
    return state.place[obj] != _GONE


def _hit(state, obj, now, size):
    if obj == state.scalars[_LAST]:
        return
    state.scalars[_LAST] = obj
    height = state.height[obj]
    if state.place[obj] == _LIR:
        was_bottom = height == state.stack.ends[TAIL]
        append(state.stack, state.height, obj)
        if was_bottom:
            _prune(state)
    elif height >= 0:
        state.scalars[_WAITING] -= 1
        _promote(state, obj, weight(state.stored, obj))
    else:
        append(state.stack, state.height, obj)
        append(state.queue, state.place, obj)


def _insert(state, obj, now, size):
    state.scalars[_LAST] = obj
    if state.height[obj] >= 0:
        _no_ghost(state, obj)
        _promote(state, obj, size)
    elif state.scalars[_LIR_BYTES] + size <= state.scalars[_LIR_LIMIT]:
        _promote(state, obj, size)
    else:
        append(state.stack, state.height, obj)
        append(state.queue, state.place, obj)
        state.scalars[_WAITING] += 1


@helper
def _promote(state, obj, size):
    """Put `obj` on top of the stack as LIR; the oldest LIR blocks make room for it."""
    state.place[obj] = _LIR
    append(state.stack, state.height, obj)
    _prune(state)
    state.scalars[_LIR_BYTES] += size
    while state.scalars[_LIR_BYTES] > state.scalars[_LIR_LIMIT]:
        _demote(state)


@helper
def _demote(state):
    """Move the oldest LIR block from the bottom of the stack to the newest end of the queue."""
    bottom = state.stack.slots[state.stack.ends[TAIL]]
    state.height[bottom] = -1
    state.scalars[_LIR_BYTES] -= weight(state.stored, bottom)
    append(state.queue, state.place, bottom)
    state.scalars[_WAITING] += 1
    _prune(state)


@helper
def _prune(state):
    """Take HIR blocks off the bottom of the stack, until it rests on an LIR block or is empty."""
    tail = state.stack.ends[TAIL]
    head = state.stack.ends[HEAD]
    while tail < head:
        obj = state.stack.slots[tail]
        if state.height[obj] == tail:
            if state.place[obj] == _LIR:
                break
            state.height[obj] = -1
            if state.place[obj] == _GONE:
                _no_ghost(state, obj)
        tail += 1
    state.stack.ends[TAIL] = tail


@helper
def _no_ghost(state, obj):
    if state.scalars[_GHOST_LIMIT] != _UNLIMITED:
        state.left_at[obj] = -1
        state.scalars[_GHOST_BYTES] -= weight(state.kept, obj)


@helper
def _limit_ghosts(state, obj):
    """`obj` has become a ghost: those that left first are dropped until the limit is kept."""
    bytes_held = weight(state.stored, obj)
    remember(state.kept, obj, bytes_held)
    append(state.ghosts, state.left_at, obj)
    state.scalars[_GHOST_BYTES] += bytes_held
    while state.scalars[_GHOST_BYTES] > state.scalars[_GHOST_LIMIT]:
        dropped = oldest(state.ghosts, state.left_at)
        state.height[dropped] = -1
        _no_ghost(state, dropped)


def _peek(state, obj, now, size):
    if state.scalars[_WAITING] == 0:
        _demote(state)
    return oldest(state.queue, state.place)


def _evict(state, obj, now, size):
    if state.scalars[_WAITING] == 0:
        _demote(state)
    victim = oldest(state.queue, state.place)
    state.place[victim] = _GONE
    state.scalars[_WAITING] -= 1
    if state.height[victim] >= 0 and state.scalars[_GHOST_LIMIT] != _UNLIMITED:
        _limit_ghosts(state, victim)
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
