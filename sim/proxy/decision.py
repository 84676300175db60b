"""The decision whom to force out: the policy's, if it comes in time, else NGINX's own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import simpy

    from .follower import Follower
    from .zone import Zone

__all__ = ["Decision"]


class Decision:
    """Asks the policy, waits for its answer, and falls back to the tail of the access queue.

    The policy decides on what it knows at the end of its latency: an answer is never out of date.

    Parameters
    ----------
    follower : Follower
    zone : Zone
    latency : callable returning int, or None
        Ticks that each answer takes; None = none.
    deadline : int or None
        Ticks after which nobody waits any longer.

    Attributes
    ----------
    ok, late : int
        Answers in time, and those that were not waited for.
    without : int
        Times that the policy had no answer: it holds nothing that is on disk and not in use.
    """

    def __init__(self, follower: Follower, zone: Zone, latency: Callable[[], int] | None, deadline: int | None) -> None:
        self._follower, self._zone, self._latency, self._deadline = follower, zone, latency, deadline
        self.ok = self.late = self.without = 0

    def victim(self, env: simpy.Environment) -> Generator[Any, Any, int | None]:
        """Return whom to force out, after the time that the decision takes; None where all at the tail are in use."""
        if self._latency is not None:
            takes = self._latency()
            if self._deadline is not None and takes > self._deadline:
                yield env.timeout(self._deadline)
                self.late += 1
                return self._zone.tail(env.now)
            if takes:
                yield env.timeout(takes)
        victim = self._follower.victim()
        if victim is None:
            self.without += 1
            return self._zone.tail(env.now)
        self.ok += 1
        return victim
