"""The proxy itself: requests arrive, are looked up, wait, are fetched, and are answered.

Hits run ahead of the simulated clock as long as nothing else is due; whatever takes time brings the clock along first. So a
hit costs no event, and everything still happens in order of time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from heapq import heapreplace
from typing import TYPE_CHECKING, Any

import simpy

from .delay import TICKS, ticks_of
from .origin_side import Fetch, OriginSide
from .outcome import COALESCED, EXPIRED, HIT, MISS, REVALIDATED, STALE, UNCACHED, UPDATING

if TYPE_CHECKING:
    from .config import ProxyConfig
    from .follower import Follower
    from .origin import Took
    from .requests import Requests
    from .zone import Node, Zone

__all__ = ["Proxy"]

CHUNK = 1 << 14
"""Requests whose columns are turned into lists at a time, which Python reads faster than arrays."""

Steps = Generator[Any, Any, None]


class Proxy:
    """Serves requests from a zone.

    Parameters
    ----------
    env : Environment
        Its clock counts ticks.
    config : ProxyConfig
    requests : Requests
    zone : Zone
    follower : Follower
    took : callable
        Ticks of each fetch.

    Attributes
    ----------
    all_answered : Event
        Happens when every request was answered and no fetch is under way.
    origin : OriginSide
    refused : int
        Requests that were answered with an error, because all keys for which there is room were in use.
    """

    def __init__(
        self,
        env: simpy.Environment,
        config: ProxyConfig,
        requests: Requests,
        zone: Zone,
        follower: Follower,
        took: Took,
    ) -> None:
        self._env, self._config, self._requests, self._zone, self._follower = env, config, requests, zone, follower
        self._lock_age, self._patience = ticks_of(config.lock_age_s), ticks_of(config.lock_timeout_s)
        self._poll = ticks_of(config.lock_poll_s)
        self._service = ticks_of(config.service_s)
        self._per_byte = 0.0 if config.client_bytes_per_s is None else TICKS / config.client_bytes_per_s
        self._most_open = math.inf
        if config.worker_connections is not None:
            self._most_open = config.workers * config.worker_connections
        self._open = self._accepted = self._room_since = self.refused = 0
        self._closed: simpy.Event | None = None
        self._unfinished = len(requests)
        self.all_answered = env.event()
        self.origin = OriginSide(env, took, config.origin_concurrency, self._complete)

    def arrivals(self, progress: Callable[[int], None] | None = None) -> Steps:
        """Return the process of all arrivals.

        Parameters
        ----------
        progress : callable, optional
            Told the number of requests that arrived since the last call.
        """
        env, requests, follower = self._env, self._requests, self._follower
        find, to_front, next_event = self._zone.get, self._zone.move_to_end, env.peek
        outcomes = requests.outcomes
        free, now = [0] * self._config.workers, requests.arrived(0)
        yield env.timeout(now)  # whoever was waiting for this moment goes first
        limited = self._most_open < math.inf
        plain = not self._service and not limited and not self._per_byte
        for start in range(0, len(requests), CHUNK):
            rows = requests.rows(start, start + CHUNK)
            hits = 0
            for i, (obj, arrived, second, charged) in enumerate(rows, start):
                now = arrived
                if not plain:
                    if limited:
                        now = yield from self._connect(arrived)
                    now = max(now, free[0]) + self._service
                    heapreplace(free, now)
                if env.now < now and next_event() <= now:
                    yield env.timeout(now - env.now)
                    while next_event() <= now:  # what is due at the very time of an arrival goes first
                        yield env.timeout(0)
                node = find(obj)
                if node is not None and node.resident and node.stale_from > second + (now - arrived) / TICKS:
                    to_front(obj)
                    node.accessed, node.request = now, i
                    node.uses += 1
                    follower.hit(obj, i, charged)
                    follower.release(obj, i, charged, now)
                    outcomes[i] = HIT
                    if plain:
                        hits += 1
                    else:
                        self._answer(i, HIT, now)
                    continue
                if env.now < now:
                    yield env.timeout(now - env.now)
                self._look_up(i, obj, now)
            if env.now < now:
                yield env.timeout(now - env.now)
            if hits:
                self._end(hits)
            if progress is not None:
                progress(len(rows))

    def _connect(self, arrived: int) -> Generator[Any, Any, int]:
        """Wait for a connection; return the tick at which there is one."""
        if self._env.now < arrived:
            yield self._env.timeout(arrived - self._env.now)
        while self._open >= self._most_open:
            self._closed = self._env.event()
            yield self._closed
        self._open += 1
        self._accepted = max(self._accepted, arrived, self._room_since)  # the clock may be later: at the last look-up
        return self._accepted

    def _look_up(self, i: int, obj: int, now: int, give_up: int | None = None) -> None:
        """Serve what is no plain hit; `give_up` is when a request that has waited already stops waiting."""
        config, requests = self._config, self._requests
        waited = give_up is not None
        node = self._zone.touch(obj, now) if waited else self._zone.access(obj, i, now)
        size = requests.size(i)
        if not waited and (node is None or not node.resident):
            self._follower.miss(obj, i, requests.charged(i))
        if node is None:
            self.refused += 1
            self._answer(i, MISS | UNCACHED, now)
        elif node.resident:
            fresh = node.stale_from > requests.second(i, now)
            self._tell_of_hit(i, obj, node, now)
            if fresh:
                self._answer(i, HIT | COALESCED if waited else HIT, now)
            elif node.resident:
                self._refresh(i, obj, size, node, now)
            else:  # the policy has just thrown it out
                self.origin.send(Fetch(i, obj, size, None, EXPIRED, stored=False), False, now)
        elif node.uses < config.min_uses:
            self.origin.send(Fetch(i, obj, size, node, MISS, stored=False), False, now)
        elif not config.lock:
            self.origin.send(Fetch(i, obj, size, node, MISS, stored=True), False, now)
        elif node.updating is None or node.locked_until <= now:
            node.updating, node.locked_until = Fetch(i, obj, size, node, MISS, stored=True), now + self._lock_age
            self.origin.send(node.updating, False, now)
        elif now >= (now + self._patience if give_up is None else give_up):
            self.origin.send(Fetch(i, obj, size, node, MISS, stored=False), False, now)
        else:
            self._env.process(self._waiting(i, obj, node, now + self._patience if give_up is None else give_up))

    def _tell_of_hit(self, i: int, obj: int, node: Node, now: int) -> None:
        charged = self._requests.charged(i)
        self._follower.hit(obj, node.request, charged)
        self._follower.release(obj, node.request, charged, now)

    def _refresh(self, i: int, obj: int, size: int, node: Node, now: int) -> None:
        """Serve an expired object."""
        config = self._config
        first = node.updating is None
        if not first and config.use_stale_updating:
            self._answer(i, UPDATING, now)
            return
        revalidates = config.revalidate and size == node.body
        fetch = Fetch(i, obj, size, node, REVALIDATED if revalidates else EXPIRED, stored=True)
        if first:
            node.updating = fetch
            if config.background_update:
                fetch.answers = False
                self._unfinished += 1
                self._answer(i, STALE, now)
        self.origin.send(fetch, revalidates, now)

    def _waiting(self, i: int, obj: int, node: Node, give_up: int) -> Steps:
        """Wait until another request has fetched the object, or for too long.

        NGINX's timer is cut short once by the end of patience, in ``ngx_http_file_cache_lock``, and from then on by the age
        of the lock, in ``ngx_http_file_cache_lock_wait``: so patience of 0.7 s ends at 1 s, when it looks for the second time.
        """
        env = self._env
        node.in_use += 1
        until = give_up
        while (fetch := node.updating) is not None and node.locked_until > env.now and env.now < give_up:
            if self._poll:
                yield env.timeout(min(self._poll, until - env.now))
                until = node.locked_until
            else:
                fetch.done = fetch.done or env.event()
                yield fetch.done | env.timeout(min(give_up, node.locked_until) - env.now)
        node.in_use -= 1
        self._look_up(i, obj, env.now, give_up)

    def _complete(self, fetch: Fetch, now: int) -> None:
        """A response has come: keep it and answer."""
        node, outcome = fetch.node, fetch.outcome
        kept = node is not None and fetch.stored and self._keep(fetch, node, now)
        if not kept:
            outcome |= UNCACHED
        if node is not None and (holder := node.updating) is not None and (kept or holder is fetch):
            node.updating = None  # what is kept ends the lock, though another one may have taken it over meanwhile
            if holder.done is not None:
                holder.done.succeed()
        if fetch.answers:
            self._answer(fetch.request, outcome, now)
        else:
            self._end(1)

    def _keep(self, fetch: Fetch, node: Node, now: int) -> bool:
        """Store a response; of several for the same object, the last one stays."""
        i, obj, follower = fetch.request, fetch.obj, self._follower
        charged = self._requests.charged(i)
        in_time = self._config.manager is None
        room: int | None = int(charged)
        known = node.resident
        if known:
            room = node.charged if in_time else room  # without a manager, nobody would make room for more
        elif in_time:
            room = follower.enter_if_it_fits(obj, node.request, charged, now)
        elif not follower.enter(obj, node.request, charged):
            room = None
        if room is not None:
            self._zone.fill(node, room, fetch.size, now)
            node.stale_from = self._requests.stale_from(i, now)
        if known and fetch.outcome == MISS:  # another one was faster
            self._tell_of_hit(i, obj, node, now)
        elif not known:
            follower.release(obj, node.request, charged, now)
        return room is not None

    def _answer(self, i: int, outcome: int, now: int) -> None:
        """The last byte leaves the proxy at `now` and takes its time to the client."""
        requests = self._requests
        transfer = round(requests.size(i) * self._per_byte)
        requests.outcomes[i] = outcome
        requests.latency[i] = (now + transfer - requests.arrived(i)) / TICKS
        if self._most_open < math.inf:
            if rest := now + transfer - self._env.now:
                self._env.timeout(rest).callbacks.append(lambda _: self._close())
            else:
                self._close()
        self._end(1)

    def _close(self) -> None:
        if self._open == self._most_open:
            self._room_since = self._env.now
        self._open -= 1
        if self._closed is not None and not self._closed.triggered:
            self._closed.succeed()

    def _end(self, count: int) -> None:
        self._unfinished -= count
        if not self._unfinished:
            self.all_answered.succeed()
