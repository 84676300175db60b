"""The policy and what it believes to be in the cache.

Two books are kept: what is on disk (`Zone`), and what the policy holds. They differ as soon as something else than the policy
removes an object: the contract has no word for that, so the policy keeps believing in it. It is told nothing; when it names
such an object as its victim, that is struck off and it is asked again; when the object comes back before, that is a hit to it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from ...policies.contract import KEPT, kernels_of
from .zone import TRIES

if TYPE_CHECKING:
    from .zone import Zone

__all__ = ["Follower"]


class Follower:
    """A policy that follows a cache.

    Parameters
    ----------
    state
        The policy's.
    stored : int64[n_objects] or None
        Bytes charged for what the policy holds, which it reads; None when it counts objects.
    capacity : int
    zone : Zone
    """

    def __init__(self, state: Any, stored: npt.NDArray[Any] | None, capacity: int, zone: Zone) -> None:
        self.state, self._stored, self._capacity, self._zone = state, stored, capacity, zone
        self._do = kernels_of(state)
        self._held: set[int] = set()
        self._free = capacity
        self._entered: OrderedDict[int, tuple[int, Any]] = OrderedDict()
        """Object -> request and bytes with which it entered, the newest at the end; some may have left the disk."""

    def hit(self, obj: int, now: int, size: Any) -> None:
        """Tell that an object on disk was asked for; nothing where the policy refused it and the cache kept it."""
        if self._do.find(self.state, obj):
            self._do.hit(self.state, obj, now, size)

    def release(self, obj: int, now: int, size: Any, tick: int) -> None:
        """After a request: let those go whom the policy throws out of its own accord."""
        while (gone := int(self._do.release(self.state, obj, now, size))) != KEPT:
            self._strike(gone)
            if self._is_on_disk(gone):
                self._zone.remove(gone, tick)

    def enter_if_it_fits(self, obj: int, now: int, size: Any, tick: int) -> int | None:
        """Make room as the compiled replay does and let the object in; return the bytes to charge, None = refused."""
        do, state = self._do, self.state
        if do.find(state, obj):  # it left otherwise, unknown to the policy, which has kept its place
            do.hit(state, obj, now, size)
            return int(size if self._stored is None else self._stored[obj])
        if size > self._capacity or not do.admit(state, obj, now, size):
            return None
        while size > self._free:
            victim = int(do.evict(state, obj, now, size))
            if victim == obj:
                return None
            self._strike(victim)
            if self._is_on_disk(victim):
                self._zone.remove(victim, tick)
        self._insert(obj, now, size)
        return int(size)

    def enter(self, obj: int, now: int, size: Any) -> bool:
        """Let the object in without making room, which is the manager's work; return False = refused.

        What is larger than the whole cache is stored all the same, as by NGINX, and the policy never hears of it.
        """
        do, state = self._do, self.state
        if do.find(state, obj):
            do.hit(state, obj, now, size)
            self._note_newest(obj, now, size)
        elif size <= self._capacity:
            if not do.admit(state, obj, now, size):
                return False
            self._insert(obj, now, size)
            self._note_newest(obj, now, size)
        return True

    def victim(self) -> int | None:
        """Ask the policy whom to remove from the disk, in favour of the one that came last; None = it has no answer.

        Objects in use that it names are given back to it as newcomers.
        """
        do, state = self._do, self.state
        in_use: list[tuple[int, int, Any]] = []
        found = None
        while self._held and len(in_use) < TRIES and (newest := self._newest()) is not None:
            victim = int(do.evict(state, *newest))
            kept = bool(do.find(state, victim))  # it would rather not have let the newcomer in
            if not kept:
                self._strike(victim)
            node = self._zone.get(victim)
            on_disk = node is not None and node.resident
            if node is not None and on_disk and not node.in_use:
                found = victim
                break
            if kept:
                break
            if on_disk:
                in_use.append((victim, *self._entered[victim]))
        for busy in in_use:
            if do.admit(state, *busy):
                self._insert(*busy)
                self._note_newest(*busy)
        return found

    def _newest(self) -> tuple[int, int, Any] | None:
        """Return object, request and bytes of the last that entered and is still there, on disk and for the policy."""
        while self._entered:
            obj = next(reversed(self._entered))
            if self._is_on_disk(obj) and self._do.find(self.state, obj):
                return obj, *self._entered[obj]
            del self._entered[obj]
        return None

    def _note_newest(self, obj: int, now: int, size: Any) -> None:
        self._entered[obj] = now, size
        self._entered.move_to_end(obj)

    def _is_on_disk(self, obj: int) -> bool:
        node = self._zone.get(obj)
        return node is not None and node.resident

    def _insert(self, obj: int, now: int, size: Any) -> None:
        if self._stored is not None:
            self._stored[obj] = size
        self._do.insert(self.state, obj, now, size)
        self._held.add(obj)
        self._free -= int(size)

    def _strike(self, obj: int) -> None:
        """The policy no longer holds the object; it may say so twice, if some of what it foresaw has passed."""
        if obj not in self._held:
            return
        self._held.remove(obj)
        if self._stored is None:
            self._free += 1
        else:
            self._free += int(self._stored[obj])
            self._stored[obj] = 0
