"""LRU: throw away what was not requested for the longest time.

State: one list on a shelf, newest to oldest.
Source: Mattson, Gecsei, Slutz, Traiger, "Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2), 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...contract import kernels, unsigned
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, bottom, give_back, make_shelf, push, take, unlink, unlink_bottom

__all__ = ["Lru"]


class State(NamedTuple):
    """`shelf`: one list of the residents, by last request."""

    shelf: Shelf


@policy(title="LRU", year=1970, source="https://doi.org/10.1147/sj.92.0078")
@dataclass(frozen=True)
class Lru(Policy):
    """Least recently used."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_shelf(setting.n_objects, setting.max_resident))


def _find(state, obj):
    return state.shelf.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = unsigned(state.shelf.slot_of[obj])
    unlink(state.shelf, slot)
    push(state.shelf, 0, slot)


def _insert(state, obj, now, size):
    push(state.shelf, 0, take(state.shelf, obj))


def _peek(state, obj, now, size):
    return state.shelf.obj_of[bottom(state.shelf, 0)]


def _evict(state, obj, now, size):
    return give_back(state.shelf, unlink_bottom(state.shelf, 0))


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
