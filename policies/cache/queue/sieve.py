"""SIEVE: one bit per object and a hand that keeps its place.

A hit sets the bit. A miss moves the hand from old to new, clearing bits, and throws away the first object whose bit is
clear. New objects enter at the head.

State: the queue is an array that grows at the head; victims leave holes behind the hand, and when the head reaches the
end of the array the living move to its beginning. A hit writes one byte.
Source: Zhang et al., "SIEVE is simpler than LRU", NSDI 2024, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...contract import helper, kernels, unsigned
from ...registry import Policy, policy
from ...setting import Setting

__all__ = ["Sieve"]

_OUT, _IN, _VISITED = 0, 1, 2
_HEAD, _HAND = 0, 1
_HOLE = 2**32 - 1


class State(NamedTuple):
    """What SIEVE remembers.

    Attributes
    ----------
    mark : uint8[n_objects]
        0 not resident, 1 resident, 2 resident and visited.
    queue : uint32[2 * most residents + 64]
        Objects from oldest to newest, 2**32 - 1 where one was evicted.
    ends : uint32[2]
        First free place, and place of the hand.
    """

    mark: Any
    queue: Any
    ends: Any


@policy(title="SIEVE", year=2024, source="https://www.usenix.org/conference/nsdi24/presentation/zhang-yazhuo")
@dataclass(frozen=True)
class Sieve(Policy):
    """Lazy promotion and quick demotion with one bit and one hand."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        room = 2 * setting.max_resident + 64
        return State(np.zeros(setting.n_objects, np.uint8), np.empty(room, np.uint32), np.zeros(2, np.uint32))


def _find(state, obj):
    return state.mark[obj] != _OUT


def _hit(state, obj, now, size):
    state.mark[obj] = _VISITED


def _insert(state, obj, now, size):
    head = state.ends[_HEAD]
    if head == len(state.queue):
        head = _close_holes(state)
    state.queue[head] = obj
    state.ends[_HEAD] = head + 1
    state.mark[obj] = _IN


@helper
def _close_holes(state):
    """Move the living to the front, in order; the hand stays where it is among them."""
    to = 0
    hand = state.ends[_HAND]
    for at in range(len(state.queue)):
        if at == hand:
            state.ends[_HAND] = to
        obj = state.queue[at]
        if obj != _HOLE:
            state.queue[to] = obj
            to += 1
    return to


@helper
def _seek(state):
    """Clear bits from the hand on, up to the next object whose bit is clear; return its place."""
    hand = state.ends[_HAND]
    head = state.ends[_HEAD]
    while True:
        if hand == head:
            hand = unsigned(0)
        obj = state.queue[hand]
        if obj != _HOLE:
            if state.mark[obj] == _IN:
                return hand
            state.mark[obj] = _IN
        hand = unsigned(hand + 1)


def _peek(state, obj, now, size):
    hand = _seek(state)
    state.ends[_HAND] = hand
    return state.queue[hand]


def _evict(state, obj, now, size):
    hand = _seek(state)
    victim = state.queue[hand]
    state.queue[hand] = _HOLE
    state.mark[victim] = _OUT
    head = state.ends[_HEAD]
    if hand + 1 < head:
        state.ends[_HAND] = hand + 1
    else:  # past the newest object the hand starts again at the oldest, whatever enters meanwhile
        while head > 0 and state.queue[unsigned(head - 1)] == _HOLE:
            head = unsigned(head - 1)
        state.ends[_HEAD] = head
        state.ends[_HAND] = 0
    return victim


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
