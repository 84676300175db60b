"""The policy and what it believes to be in the cache.

Two books are kept: what is on disk (`Zone`), and what the policy holds. They differ as soon as something else than the policy
removes an object: the contract has no word for that, so the policy keeps believing in it. It is told nothing; when it names
such an object as its victim, that is struck off and it is asked again; when the object comes back before, that is a hit to it.

Time is the other difference: a response enters after later requests have come. Policies that measure ages are told a request
number that never goes back. Those that look it up in columns of the trace are told the last request for the very object, and
those that look ahead no request twice, since for them it is a promise of the next one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from ...policies.contract import KEPT, kernels_of
from .quick import quick_evict
from .zone import TRIES

if TYPE_CHECKING:
    from ...policies.registry import Policy
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
    policy : Policy
    compiled : bool
        Ask a compiled policy for its victims.
    """

    def __init__(
        self,
        state: Any,
        stored: npt.NDArray[Any] | None,
        capacity: int,
        zone: Zone,
        policy: Policy,
        compiled: bool = False,
    ) -> None:
        self.state, self._stored, self._capacity, self._zone = state, stored, capacity, zone
        self._do = kernels_of(state)
        if compiled:
            self._do = self._do._replace(evict=quick_evict(state))
        self._looks_ahead = policy.offline or bool(policy.predictions)
        self._reads_columns = self._looks_ahead or any(part.spec.cost for part in policy.parts())
        self._clock = 0
        self._told: dict[int, int] = {}
        self._held: set[int] = set()
        self._free = capacity
        self._entered: OrderedDict[int, tuple[int, Any]] = OrderedDict()
        """Object -> request and bytes with which it entered, the newest at the end; some may have left the disk."""

    def hit(self, obj: int, now: int, size: Any) -> None:
        """Tell that an object on disk was asked for; nothing where the policy refused it and the cache kept it."""
        if self._do.find(self.state, obj):
            self._hit(obj, now, size)

    def miss(self, obj: int, now: int, size: Any) -> None:
        """Tell that an object not on disk was asked for: one that looks ahead and still holds it expects just that."""
        if self._looks_ahead:
            self.hit(obj, now, size)

    def release(self, obj: int, now: int, size: Any, tick: int) -> None:
        """After a request: let those go whom the policy throws out of its own accord."""
        now = self._when(now)
        while (gone := int(self._do.release(self.state, obj, now, size))) != KEPT:
            self._strike(gone)
            if self._is_on_disk(gone):
                self._zone.remove(gone, tick)

    def enter_if_it_fits(self, obj: int, now: int, size: Any, tick: int) -> int | None:
        """Make room as the compiled replay does and let the object in; return the bytes to charge, None = refused."""
        do, state, now = self._do, self.state, self._when(now)
        if do.find(state, obj):  # it left otherwise, unknown to the policy, which has kept its place
            self._hit(obj, now, size)
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
        do, state, now = self._do, self.state, self._when(now)
        if do.find(state, obj):
            self._hit(obj, now, size)
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
            obj, now, size = newest
            victim = int(do.evict(state, obj, self._when(now), size))
            if victim not in self._held:  # named before: some of what it foresaw has passed
                continue
            kept = bool(do.find(state, victim))  # it would rather not have let the newcomer in
            if not kept:
                self._strike(victim)
            node = self._zone.get(victim)
            if node is not None and node.resident:
                if not node.in_use:
                    found = victim
                    break
                in_use.append((victim, *self._entered[victim]))
            if kept:
                break
        for obj, now, size in in_use:
            now = self._when(now)
            if not do.find(state, obj) and do.admit(state, obj, now, size):
                self._insert(obj, now, size)
                self._note_newest(obj, now, size)
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

    def _when(self, now: int) -> int:
        if self._reads_columns:
            return now
        self._clock = max(self._clock, now)
        return self._clock

    def _hit(self, obj: int, now: int, size: Any) -> None:
        if self._looks_ahead:
            if self._told.get(obj) == now:
                return
            self._told[obj] = now
        self._do.hit(self.state, obj, self._when(now), size)

    def _insert(self, obj: int, now: int, size: Any) -> None:
        if self._stored is not None:
            self._stored[obj] = size
        if self._looks_ahead:
            self._told[obj] = now
        self._do.insert(self.state, obj, now, size)
        self._held.add(obj)
        self._free -= int(size)

    def _strike(self, obj: int) -> None:
        """Note that the policy no longer holds the object; an offline one may say so twice."""
        if obj not in self._held:
            return
        self._held.remove(obj)
        if self._stored is None:
            self._free += 1
        else:
            self._free += int(self._stored[obj])
            self._stored[obj] = 0
