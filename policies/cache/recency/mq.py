"""MQ: throw away the least recently used of the least often requested, where being often requested wears off.

Residents with f requests stand in queue ``min(log2 f, queues - 1)``, an LRU list. Who was not requested for `lifetime` requests
falls one queue lower, one per queue and request at most. The victim is the oldest of the lowest queue that has members; Qout
remembers its count, which goes on if it returns.

State: one list per queue on a shelf, by slot the queue and the time of expiry, the count of each object, a ghost queue.
Source: Zhou, Philbin, Li, "The multi-queue replacement algorithm for second level buffer caches", USENIX ATC 2001,
section 5 and figure 5.

The paper measures the lifetime while it runs (peak of the temporal distances); here it is a parameter, as in libCacheSim
(10000) and Caffeine (75). The object leaves Qout before room is made for it, in the paper after. The clock ticks once per hit
and per admitted miss. All this is libCacheSim 0.3.5's MQ, which agrees request by request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ....traces.errors import UsageError
from ...contract import helper, kernels, weight
from ...ghost import Ghost, forget, make_ghost, remember, remembers
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, bottom, give_back, make_shelf, oldest, push, take, unlink

__all__ = ["Mq"]

_NOW, _LIFETIME = 0, 1


class State(NamedTuple):
    """What MQ remembers.

    Attributes
    ----------
    shelf : Shelf
        One list per queue.
    queue : uint8[most residents]
        By slot.
    expires : int64[most residents]
        By slot: the time after which it falls one queue lower.
    requests : int32[n_objects]
        Requests of each object, since it was unknown.
    qout : Ghost
    clock : int64[2]
        Time, and lifetime, both in requests.
    stored : int64[n_objects], bytes, or None
        The setting's.
    """

    shelf: Shelf
    queue: Any
    expires: Any
    requests: Any
    qout: Ghost
    clock: Any
    stored: Any


@policy(
    title="MQ",
    year=2001,
    source="https://www.usenix.org/legacy/publications/library/proceedings/usenix01/full_papers/zhou/zhou.pdf",
)
@dataclass(frozen=True)
class Mq(Policy):
    """Multi-queue.

    Parameters
    ----------
    queues : int, 1 .. 32
    lifetime : int, at least 1
        Requests without one of its own after which an object falls one queue lower.
    qout : float, 0 .. 64
        Budget of Qout, in capacities, rounded down.
    """

    queues: int = 8
    lifetime: int = 10_000
    qout: float = 4.0

    def __post_init__(self) -> None:
        if not 1 <= self.queues <= 32:
            raise UsageError(f"mq: queues={self.queues} is not within 1 .. 32")
        if self.lifetime < 1:
            raise UsageError(f"mq: lifetime={self.lifetime} is less than 1 request")
        if not 0 <= self.qout <= 64:
            raise UsageError(f"mq: qout={self.qout} is not within 0 .. 64")

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        most = setting.max_resident
        return State(
            make_shelf(setting.n_objects, most, self.queues),
            np.zeros(most, np.uint8),
            np.zeros(most, np.int64),
            np.zeros(setting.n_objects, np.int32),
            make_ghost(setting, int(setting.capacity * self.qout)),
            np.array([0, self.lifetime], np.int64),
            setting.stored,
        )


def _find(state, obj):
    return state.shelf.slot_of[obj] >= 0


@helper
def _n_queues(state):
    return len(state.shelf.links) // 2 - len(state.shelf.obj_of)


@helper
def _enqueue(state, slot, queue):
    push(state.shelf, queue, slot)
    state.queue[slot] = queue
    state.expires[slot] = state.clock[_NOW] + state.clock[_LIFETIME]


@helper
def _promote(state, slot, obj):
    """Put `obj` where its count belongs, then let the time pass: the oldest of each queue may fall."""
    queues = _n_queues(state)
    queue = 0
    requests = state.requests[obj]
    while requests > 1 and queue + 1 < queues:
        requests >>= 1
        queue += 1
    _enqueue(state, slot, queue)
    state.clock[_NOW] += 1
    for queue in range(1, queues):
        slot = oldest(state.shelf, queue)
        if slot >= 0 and state.expires[slot] < state.clock[_NOW]:
            unlink(state.shelf, slot)
            _enqueue(state, slot, queue - 1)


def _hit(state, obj, now, size):
    slot = state.shelf.slot_of[obj]
    unlink(state.shelf, slot)
    state.requests[obj] += 1
    _promote(state, slot, obj)


def _admit(state, obj, now, size):
    if remembers(state.qout, obj):
        forget(state.qout, obj)
        state.requests[obj] += 1
    else:
        state.requests[obj] = 1
    return True


def _insert(state, obj, now, size):
    _promote(state, take(state.shelf, obj), obj)


@helper
def _lowest(state):
    queue = 0
    while oldest(state.shelf, queue) < 0:
        queue += 1
    return bottom(state.shelf, queue)


def _peek(state, obj, now, size):
    return state.shelf.obj_of[_lowest(state)]


def _evict(state, obj, now, size):
    slot = _lowest(state)
    unlink(state.shelf, slot)
    victim = give_back(state.shelf, slot)
    remember(state.qout, victim, weight(state.stored, victim))
    return victim


kernels(State, _find, _hit, _insert, _evict, admit=_admit, peek=_peek)
