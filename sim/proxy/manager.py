"""NGINX's cache manager: wakes up, removes what is inactive, then what is too much, and sleeps again.

One waking of ``ngx_http_file_cache_manager`` (nginx 1.22.1):

1. From the tail of the access queue, what was not asked for during ``inactive`` leaves. If ``manager_files`` deletions or
   ``manager_threshold`` end this, it sleeps for ``manager_sleep``.
2. Otherwise the next sleep will last until the tail becomes inactive, in whole seconds, at most 10 s.
3. While the size is not below ``max_size``, or the keys are not below the watermark, an object is forced out: here the policy
   is asked whom. After ``manager_files`` deletions or ``manager_threshold`` it sleeps for ``manager_sleep``; entries
   in use at the tail are moved to the head, and if all of 20 are, it sleeps for a second.

So a cache grows, for up to 10 s, by whatever is fetched meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from .delay import TICKS, ticks_of
from .zone import TRIES

if TYPE_CHECKING:
    import simpy

    from .config import CacheManager
    from .decision import Decision
    from .zone import Zone

__all__ = ["Manager"]

Steps = Generator[Any, Any, int | None]
"""Events to wait for and, at last, ticks to sleep; None = until the queue says."""


class Manager:
    """The manager of one cache.

    Parameters
    ----------
    env : Environment
    config : CacheManager
    zone : Zone
    most : int
        Size on disk from which on objects are forced out.
    decision : Decision
        Who says whom.

    Attributes
    ----------
    wakes : int
    forced : int
        Nodes that were forced out.
    expired : int
        Nodes that left because nobody asked for them.
    """

    def __init__(self, env: simpy.Environment, config: CacheManager, zone: Zone, most: int, decision: Decision) -> None:
        self._env, self._zone, self._most, self._decision = env, zone, most, decision
        self._interval, self._sleep = ticks_of(config.interval_s), ticks_of(config.sleep_s)
        self._threshold, self._delete = ticks_of(config.threshold_s), ticks_of(config.delete_s)
        self._most_files, self._asks = config.files, config.asks_policy
        self._files = self._began = 0
        self.wakes = self.forced = self.expired = 0

    def run(self, first_wake: int, awake: Callable[[int], None]) -> Generator[Any, Any, None]:
        """Return the process.

        Parameters
        ----------
        first_wake : int
            Tick of the first waking.
        awake : callable (tick)
            Told of each waking and of each falling asleep.
        """
        env = self._env
        yield env.timeout(first_wake - env.now)
        while True:
            self.wakes += 1
            self._files, self._began = 0, env.now
            awake(env.now)
            sleep = yield from self._remove_inactive()
            if sleep is None:
                rest = self._zone.inactive_in(env.now)
                calm = self._interval if rest is None else min(self._interval, max(rest, 1) * TICKS)
                sleep = yield from self._force_out(calm)
            awake(env.now)
            yield env.timeout(sleep)

    def _remove_inactive(self) -> Steps:
        zone, env = self._zone, self._env
        while (rest := zone.inactive_in(env.now)) is not None and rest <= 0:
            obj = next(iter(zone))
            if zone[obj].in_use:
                zone.keep_tail(env.now)
            else:
                self.expired += 1
                yield from self._remove(obj)
            if self._had_enough():
                return self._sleep
        return None

    def _force_out(self, calm: int) -> Generator[Any, Any, int]:
        zone, env = self._zone, self._env
        while zone.meter.bytes >= self._most or len(zone) >= zone.watermark:
            # Where only keys are too many, one without an object leaves unasked: no policy has heard of it.
            victim = zone.tail(env.now) if zone.meter.bytes < self._most or not self._asks else None
            if self._asks and (victim is None or zone[victim].resident):
                victim = yield from self._decision.victim(env)
            if victim is None:
                return min(self._interval, TICKS) if len(zone) >= TRIES else self._interval
            self.forced += 1
            yield from self._remove(victim)
            if self._had_enough():
                return self._sleep
        return calm

    def _remove(self, obj: int) -> Generator[Any, Any, None]:
        self._zone.remove(obj, self._env.now)
        if self._delete:
            yield self._env.timeout(self._delete)

    def _had_enough(self) -> bool:
        self._files += 1
        return self._files >= self._most_files or self._env.now - self._began >= self._threshold
