"""MRU: throw away what was requested last.

The best choice for a loop that does not fit: part of it stays. The victim is named before the newcomer enters, so a newcomer
never throws itself out.

State: one list on a shelf, newest to oldest.
Source: Chou, DeWitt, "An evaluation of buffer management strategies for relational database systems", VLDB 1985, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...contract import kernels
from ...registry import Policy, policy
from ...setting import Setting
from ...shelf import Shelf, give_back, make_shelf, newest, push, take, unlink

__all__ = ["Mru"]


class State(NamedTuple):
    """`shelf`: one list of the residents, by last request."""

    shelf: Shelf


@policy(title="MRU", year=1985, source="https://www.vldb.org/conf/1985/P127.PDF")
@dataclass(frozen=True)
class Mru(Policy):
    """Most recently used."""

    def make(self, setting: Setting) -> State:
        """Return an empty cache."""
        return State(make_shelf(setting.n_objects, setting.max_resident))


def _find(state, obj):
    return state.shelf.slot_of[obj] >= 0


def _hit(state, obj, now, size):
    slot = state.shelf.slot_of[obj]
    unlink(state.shelf, slot)
    push(state.shelf, 0, slot)


def _insert(state, obj, now, size):
    push(state.shelf, 0, take(state.shelf, obj))


def _peek(state, obj, now, size):
    return state.shelf.obj_of[newest(state.shelf, 0)]


def _evict(state, obj, now, size):
    slot = newest(state.shelf, 0)
    unlink(state.shelf, slot)
    return give_back(state.shelf, slot)


kernels(State, _find, _hit, _insert, _evict, peek=_peek)
