"""My LRU: throw away what was not requested for the longest time. A policy of one's own, in one file."""

from dataclasses import dataclass
from typing import NamedTuple

from evictlab.policies import Policy, Setting, kernels, policy
from evictlab.policies.shelf import Shelf, give_back, make_shelf, oldest, push, take, unlink


class State(NamedTuple):
    """What the policy remembers: a list of the residents, newest to oldest."""

    shelf: Shelf


@policy(title="My LRU", year=2026, source="https://doi.org/10.1147/sj.92.0078")
@dataclass(frozen=True)
class MyLru(Policy):
    """Least recently used, once more."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_shelf(setting.n_objects, setting.max_resident))


def find(state, obj):
    """Is it resident?"""
    return state.shelf.slot_of[obj] >= 0


def hit(state, obj, now, size):
    """It was found: it becomes the newest."""
    slot = state.shelf.slot_of[obj]
    unlink(state.shelf, slot)
    push(state.shelf, 0, slot)


def insert(state, obj, now, size):
    """It was not, and now there is room: it enters as the newest."""
    push(state.shelf, 0, take(state.shelf, obj))


def evict(state, obj, now, size):
    """Room is needed for `obj`: the oldest leaves."""
    slot = oldest(state.shelf, 0)
    unlink(state.shelf, slot)
    return give_back(state.shelf, slot)


kernels(State, find, hit, insert, evict)
