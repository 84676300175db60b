"""Keep the cache manager of an unmodified NGINX awake.

After each round the manager sleeps for the shortest of the times that its caches ask for. A cache with nothing to do
asks for up to 10 s, but one whose manager has just removed ``manager_files`` entries asks for ``manager_sleep``. So a
second, tiny cache with ``manager_files=1``, ``inactive=1s`` and ``manager_sleep`` of the wanted interval, in which
there is always an entry that nobody asked for, makes the manager look at all caches at that interval. Here such
entries are made: requests of two bytes, each for another key, somewhat more often than they are removed. Each round
removes one, and while the measured cache is too large, rounds follow at its own ``manager_sleep``.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from contextlib import suppress
from types import TracebackType

from .config import SHORTEST_INTERVAL_S, RealConfig
from .driver import connect, fetch
from .errors import NginxError
from .server import Nginx

__all__ = ["Ticker"]

AHEAD_S = 4.0
"""Entries are kept for this time: they must be 1 to 2 s old, in NGINX's whole seconds, before they can be removed."""

FASTER = 1.5
"""Entries made per entry removed, until there are enough."""


OLD_S = 2.1
"""After this all first entries can be removed."""


class Ticker:
    """Feeds the second cache while in its ``with`` block, from before the new manager's first round.

    Parameters
    ----------
    nginx : Nginx
    config : RealConfig
        With an interval of the manager.
    """

    def __init__(self, nginx: Nginx, config: RealConfig) -> None:
        self._nginx = nginx
        shortest_s = min(config.manager_interval_s or math.inf, config.manager_sleep_s)
        self._removed_every_s = max(shortest_s, SHORTEST_INTERVAL_S)
        self._keys = itertools.count()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)

    def _feed(self) -> None:
        enough = AHEAD_S / self._removed_every_s
        path, tick = self._nginx.places.client, self._nginx.places.tick
        while not self._ends.is_set():
            with suppress(OSError, ValueError), connect(path) as connection:
                while not self._ends.wait(self._removed_every_s / FASTER):
                    if sum(1 for _ in tick.iterdir()) < enough:
                        fetch(path, f"/tick/{next(self._keys)}", 2, connection)

    def __enter__(self) -> Ticker:
        # The first manager found both caches empty and sleeps for 10 s; one that starts when entries are there does not.
        path = self._nginx.places.client
        try:
            with connect(path) as connection:
                for _ in range(int(AHEAD_S / self._removed_every_s)):
                    fetch(path, f"/tick/{next(self._keys)}", 2, connection)
            self._thread.start()
            time.sleep(OLD_S)
            self._nginx.reload()
        except (OSError, ValueError) as error:
            self._nginx.check()
            raise NginxError(f"NGINX answers no small request ({error})", self._nginx.last_words()) from None
        except BaseException:
            self._ends.set()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ends.set()
        self._thread.join()
