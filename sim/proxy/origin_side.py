"""The way to the origin: fetches under way, how many at a time, and what they brought."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import simpy

if TYPE_CHECKING:
    from .origin import Took
    from .zone import Node

__all__ = ["Fetch", "OriginSide"]


class Fetch:
    """One request to the origin.

    Attributes
    ----------
    request, obj, size : int
        Index of the request, its object, and the bytes of the body.
    node : Node or None
        None where it has just left the zone.
    outcome : int
        What the client is answered, see `evictlab.sim.proxy.outcome`.
    stored : bool
        Whether the response may be kept.
    answers : bool
        Whether a client waits for it; else it goes on in the background.
    done : Event or None
        Happens when nobody needs to wait for it any longer; made by the first who does.
    """

    __slots__ = ("answers", "done", "node", "obj", "outcome", "request", "size", "stored")

    def __init__(
        self, request: int, obj: int, size: int, node: Node | None, outcome: int, *, stored: bool, answers: bool = True
    ) -> None:
        self.request, self.obj, self.size, self.node, self.outcome = request, obj, size, node, outcome
        self.stored, self.answers = stored, answers
        self.done: simpy.Event | None = None


class OriginSide:
    """Sends fetches to the origin.

    Parameters
    ----------
    env : Environment
    took : callable
        How long each takes, in ticks.
    most : int or None
        Fetches at a time; further ones wait in order.
    complete : callable (fetch, tick)
        Told of each that is complete.

    Attributes
    ----------
    requests, bytes : int
        Fetches, and the bytes of the bodies that they brought.
    peak : int
        The most that were under way at the same time, those that wait left out.
    """

    def __init__(
        self, env: simpy.Environment, took: Took, most: int | None, complete: Callable[[Fetch, int], None]
    ) -> None:
        self._env, self._took, self._complete = env, took, complete
        self._slots = None if most is None else simpy.Resource(env, most)
        self.requests = self.bytes = self.peak = self._under_way = 0

    def send(self, fetch: Fetch, revalidates: bool, now: int) -> None:
        """Begin a fetch; what takes no time and need not wait is complete at once, without an event."""
        self.requests += 1
        if not revalidates:
            self.bytes += fetch.size
        if fetch.node is not None:
            fetch.node.in_use += 1
        takes = self._took(fetch.request, fetch.size, revalidates)
        if not takes and (self._slots is None or self._slots.count < self._slots.capacity):
            self.peak = max(self.peak, self._under_way + 1)
            self._finish(fetch, now)
        else:
            self._env.process(self._fetching(fetch, takes))

    def _fetching(self, fetch: Fetch, takes: int) -> Generator[Any, Any, None]:
        slot = None if self._slots is None else self._slots.request()
        if slot is not None:
            yield slot
        self._under_way += 1
        self.peak = max(self.peak, self._under_way)
        yield self._env.timeout(takes)
        self._under_way -= 1
        if slot is not None and self._slots is not None:
            self._slots.release(slot)
        self._finish(fetch, self._env.now)

    def _finish(self, fetch: Fetch, now: int) -> None:
        if fetch.node is not None:
            fetch.node.in_use -= 1
        self._complete(fetch, now)
