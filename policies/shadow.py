"""Caches inside a policy: simulated ones that it learns from, and its own that follows one of them lazily.

A `Shadow` is a cache of any policy that holds nothing but its state; `step` is the replay loop in small. A policy that
combines others runs them as shadows and wants what one of them holds, its target. It need not fetch what the target holds,
only refrain from keeping more: it evicts, on a miss of its own, from those of its residents that the target does not hold,
the one whose last request is the longest ago. `Recent` is the set that answers this without a search.

Why following lazily costs no more than the target does: whenever the target holds the newcomer and both caches are full,
somebody is resident here who is not there; and what is kept beyond the target can only save a miss.

Objects have size 1 here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..traces.errors import CapabilityError
from . import contract
from .bitset import Bitset, add, largest, make_bitset, remove
from .contract import KEPT, helper, unsigned

if TYPE_CHECKING:
    from .registry import Policy
    from .setting import Setting

__all__ = [
    "NOBODY",
    "Recent",
    "Shadow",
    "apart",
    "drop",
    "has",
    "is_marked",
    "make_recent",
    "make_shadow",
    "mark",
    "oldest",
    "part_seed",
    "step",
    "swap",
    "touch",
    "unmark",
]

NOBODY = -1
"""No object."""

_SIX, _LOW = np.uint64(6), np.uint64(63)


def part_seed(seed: int, which: int) -> int:
    """Return the seed of one part of a policy, so that parts do not draw the same random numbers."""
    return int(np.random.SeedSequence([seed, which]).generate_state(1)[0])


def apart(setting: Setting, which: int) -> Setting:
    """Return the setting of one part of a policy: as its own, but for the seed. Predictions stay the same."""
    return replace(setting, seed=part_seed(setting.seed, which))


class Recent(NamedTuple):
    """A set of objects ordered by last request, with marked subsets that know their oldest members.

    Each request for a member gives it the next place in a row; when the row is full, the members move together at its
    beginning, which happens so seldom that it costs nothing per request. A subset is a set of bits by place.

    Attributes
    ----------
    place : int32[n_objects]
        Where in the row the object stands, -1 when it is no member.
    row : int32[length]
        By place: the object, if its `place` says so too.
    next : int64[1]
        First place that is free, with all behind it.
    words : uint64[subsets, m]
        A `Bitset` for each subset, with the places counted from the end of the row: the oldest member is the largest.
    begins : int64[levels + 1]
        Levels of the bitsets.
    """

    place: Any
    row: Any
    next: Any
    words: Any
    begins: Any


def make_recent(n_objects: int, most: int, subsets: int = 1) -> Recent:
    """Return an empty set for at most `most` members."""
    length = max(256, 4 * most)
    bits = make_bitset(length)
    return Recent(
        np.full(n_objects, -1, np.int32),
        np.zeros(length, np.int32),
        np.zeros(1, np.int64),
        np.zeros((subsets, len(bits.words)), np.uint64),
        bits.begins,
    )


@helper
def has(recent, obj):
    """Is `obj` a member?"""
    return recent.place[obj] >= 0


@helper
def _subset(recent, which):
    return Bitset(recent.words[which], recent.begins)


@helper
def _bit(recent, place):
    return len(recent.row) - 1 - np.int64(place)


@helper
def _is_set(recent, which, place):
    at = np.uint64(_bit(recent, place))
    return (recent.words[which, at >> _SIX] >> (at & _LOW)) & np.uint64(1) != 0


@helper
def is_marked(recent, which, obj):
    """Is the member in the subset?"""
    return _is_set(recent, which, recent.place[obj])


@helper
def mark(recent, which, obj):
    """Put `obj` into the subset, if it is a member at all."""
    place = recent.place[obj]
    if place >= 0:
        add(_subset(recent, which), _bit(recent, place))


@helper
def unmark(recent, which, obj):
    """Take `obj` out of the subset, if it is in it."""
    place = recent.place[obj]
    if place >= 0 and _is_set(recent, which, place):
        remove(_subset(recent, which), _bit(recent, place))


@helper
def oldest(recent, which):
    """Return the member of the subset whose last request is the longest ago, or `NOBODY`."""
    bit = largest(_subset(recent, which))
    if bit < 0:
        return np.int64(NOBODY)
    return np.int64(recent.row[len(recent.row) - 1 - bit])


@helper
def drop(recent, obj):
    """Take a member out, also of all subsets."""
    for which in range(len(recent.words)):
        unmark(recent, which, obj)
    recent.place[obj] = -1


@helper
def touch(recent, obj):
    """Make `obj` the newest, a member or not; it is in no subset then."""
    if recent.place[obj] >= 0:
        drop(recent, obj)
    if recent.next[0] == len(recent.row):
        _move_together(recent)
    recent.row[recent.next[0]] = obj
    recent.place[obj] = recent.next[0]
    recent.next[0] += 1


@helper
def _move_together(recent):
    to = 0
    for place in range(len(recent.row)):
        obj = recent.row[place]
        if recent.place[obj] == place:
            if to < place:
                for which in range(len(recent.words)):
                    if _is_set(recent, which, place):
                        remove(_subset(recent, which), _bit(recent, place))
                        add(_subset(recent, which), _bit(recent, to))
                recent.row[to] = obj
                recent.place[obj] = to
            to += 1
    recent.next[0] = to


class Shadow(NamedTuple):
    """A simulated cache.

    Attributes
    ----------
    inner : NamedTuple of arrays
        The state of its policy.
    free : int64[1]
        How many objects more it could hold.
    """

    inner: Any
    free: Any


def make_shadow(policy: Policy, setting: Setting) -> Shadow:
    """Return an empty cache of `policy`.

    Raises
    ------
    CapabilityError
        The policy is an object with methods, or counts bytes.
    """
    if setting.stored is not None:
        raise CapabilityError(f"{policy.label} would run inside another policy, which counts objects and not bytes")
    inner = policy.make(setting)
    if not isinstance(inner, tuple):
        raise CapabilityError(
            f"{policy.label} is an object with methods; only policies written as functions over arrays can run inside another"
        )
    return Shadow(inner, np.array([setting.capacity], np.int64))


@helper
def step(shadow, obj, now, followers, which):
    """Let a simulated cache serve a request; return 1 for a miss, else 0.

    Of those who leave it, the members of `followers` are put into subset `which`.
    """
    miss = 0
    if contract.find(shadow.inner, obj):
        contract.hit(shadow.inner, obj, now, 1)
    else:
        miss = 1
        if contract.admit(shadow.inner, obj, now, 1):
            room = True
            while shadow.free[0] < 1:
                victim = unsigned(contract.evict(shadow.inner, obj, now, 1))
                if victim == obj:  # it would rather keep what it has
                    room = False
                    break
                mark(followers, which, victim)
                shadow.free[0] += 1
            if room:
                contract.insert(shadow.inner, obj, now, 1)
                shadow.free[0] -= 1
    while True:
        gone = contract.release(shadow.inner, obj, now, 1)
        if gone == KEPT:
            break
        mark(followers, which, unsigned(gone))
        shadow.free[0] += 1
    return miss


@helper
def swap(shadow, obj, now):
    """Let a simulated cache that admits everybody and releases nobody serve a request; return who left it, or `NOBODY`."""
    victim = np.int64(NOBODY)
    if contract.find(shadow.inner, obj):
        contract.hit(shadow.inner, obj, now, 1)
    else:
        if shadow.free[0] > 0:
            shadow.free[0] -= 1
        else:
            victim = np.int64(contract.evict(shadow.inner, obj, now, 1))
        contract.insert(shadow.inner, obj, now, 1)
    return victim
