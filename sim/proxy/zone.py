"""The keys zone: what the proxy knows about each key, in order of last access, whether its object is on disk or not.

A node is made when a key is first asked for and goes with its object, or when nobody asked for too long. The order is
NGINX's access queue: its tail is who leaves when the policy has no say.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from .delay import TICKS

if TYPE_CHECKING:
    from .meter import Meter

__all__ = ["TRIES", "Node", "Zone"]

TRIES = 20
"""So many entries in use are moved from the tail to the head before NGINX gives up."""


class Node:
    """A key in the zone.

    Attributes
    ----------
    accessed : int
        Tick of the last request.
    request : int
        Its index: the `now` of which the policy is told, so that what it knows of the future is still to come.
    uses : int
        Requests since the node was made.
    in_use : int
        Fetches under way and requests that wait for them.
    resident : bool
        Whether the object is on disk.
    charged, body : int
        What it takes there, and how long it is, in bytes.
    stale_from : float
        Second of the trace from which it is expired.
    updating : Fetch or None
        Who fetches it under a lock, or refreshes it.
    locked_until : int
        Tick at which another one may fetch it.
    """

    __slots__ = (
        "accessed",
        "body",
        "charged",
        "in_use",
        "locked_until",
        "request",
        "resident",
        "stale_from",
        "updating",
        "uses",
    )

    def __init__(self) -> None:
        self.accessed = self.request = self.uses = self.in_use = self.charged = self.body = self.locked_until = 0
        self.resident = False
        self.stale_from = math.inf
        self.updating: Any = None


class Zone(OrderedDict[int, Node]):
    """Nodes by object, from the tail of the access queue to its head.

    Parameters
    ----------
    meter : Meter
    limit : int or None
        Nodes for which there is room.
    inactive : int
        Ticks after which the manager lets go of a node that nobody asked for.

    Attributes
    ----------
    watermark : float
        From so many nodes on, the manager evicts; infinite until the zone was full for the first time.
    evictions : int
        Objects that have left the disk.
    forced_on_path : int
        Nodes that left on the way of a request because the zone was full.
    """

    def __init__(self, meter: Meter, limit: int | None = None, inactive: int = 0) -> None:
        super().__init__()
        self.meter, self.limit, self.inactive = meter, limit, inactive
        self.watermark = math.inf
        self.evictions = self.forced_on_path = 0

    def access(self, obj: int, request: int, now: int) -> Node | None:
        """Note a request, by its index, for `obj`, making a node where there is none; None where there is no room for one."""
        node = self.get(obj)
        if node is None:
            if self.limit is not None and len(self) >= self.limit:
                self.watermark = len(self) - len(self) // 8
                victim = self.tail(now)
                if victim is None:
                    return None
                self.forced_on_path += 1
                self.remove(victim, now)
            node = self[obj] = Node()
        else:
            self.move_to_end(obj)
        node.accessed, node.request = now, request
        node.uses += 1
        return node

    def touch(self, obj: int, now: int) -> Node:
        """Move a node to the head, as a request does, without counting one."""
        node = self[obj]
        node.accessed = now
        self.move_to_end(obj)
        return node

    def tail(self, now: int) -> int | None:
        """Return the object at the tail, after those in use there were moved to the head; None where `TRIES` or all are."""
        for _ in range(min(TRIES, len(self))):
            obj = next(iter(self))
            if not self[obj].in_use:
                return obj
            self.touch(obj, now)
        return None

    def fill(self, node: Node, charged: int, body: int, now: int) -> None:
        """Put the object of a node on disk, or another version of it in its place."""
        self.meter.add(charged - node.charged, not node.resident, now)
        node.resident, node.charged, node.body = True, charged, body

    def remove(self, obj: int, now: int) -> None:
        """Take an object off the disk and, unless it is in use, its node out of the zone."""
        node = self[obj]
        if node.resident:
            self.meter.add(-node.charged, -1, now)
            self.evictions += 1
            node.resident, node.charged = False, 0
        if not node.in_use:
            del self[obj]

    def inactive_in(self, now: int) -> int | None:
        """Return in how many whole seconds the node at the tail becomes inactive; None of an empty zone."""
        if not self:
            return None
        last = next(iter(self.values())).accessed
        return last // TICKS + self.inactive // TICKS - now // TICKS

    def keep_tail(self, now: int) -> None:
        """Put the tail in front, as if it had been asked for just now: it is inactive, but in use."""
        self.touch(next(iter(self)), now)
