"""How the recorded NGINX caches: the directives that a simulator of it must know, too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError

__all__ = ["SHORTEST_INTERVAL_S", "RealConfig"]

SHORTEST_INTERVAL_S = 0.01
"""Below this the requests that keep the manager awake would be a load of their own."""


@dataclass(frozen=True)
class RealConfig:
    """The cache of a real NGINX.

    Attributes
    ----------
    max_size_bytes : int
        ``max_size``; NGINX cuts it down to whole blocks of the file system.
    ttl_s : int
        ``proxy_cache_valid``, whole seconds, for every answer.
    inactive_s : int
        ``inactive``, whole seconds: an entry that nobody asked for so long is removed.
    keys_zone : str
        Size of the shared memory, as NGINX writes it; 1m holds 8,095 keys.
    manager_files : int
        Files that the cache manager removes before it pauses.
    manager_threshold_s, manager_sleep_s : float
        How long it works at most before it pauses, and how long that pause is; whole milliseconds.
    manager_interval_s : float or None
        None is the stock manager, which sleeps up to 10 s when it finds nothing to do.
        Else it looks again after this time; how, without a change to NGINX, says `ticker`.
    lock, use_stale_updating, background_update : bool
        ``proxy_cache_lock``, ``proxy_cache_use_stale updating``, ``proxy_cache_background_update``.
    lock_age_s, lock_timeout_s : float
        ``proxy_cache_lock_age``, ``proxy_cache_lock_timeout``; whole milliseconds.
    min_uses : int
        ``proxy_cache_min_uses``.
    workers : int
        ``worker_processes``.
    settle_s : float
        NGINX's cache manager has run for so long when the first request is sent (longer where getting ready takes
        longer): the stock one looks again 10 s after it started, and so 10 - `settle_s` into the run.
    watch_manager : bool
        Let NGINX log what its manager sees and does (needs a binary built with ``--with-debug``, as Debian's is).
    folder : Path or None
        Where the temporary folder is made; its file system holds the cache. None is the system's.
    load_modules : tuple of str
        Files of dynamic modules.
    http_lines, server_lines : tuple of str
        More lines of the configuration, such as directives of those modules; each with its semicolon.

    Raises
    ------
    UsageError
        A value that NGINX would not take, or would take for another one.
    """

    max_size_bytes: int
    ttl_s: int = 86_400
    inactive_s: int = 86_400
    keys_zone: str = "64m"
    manager_files: int = 100
    manager_threshold_s: float = 0.2
    manager_sleep_s: float = 0.05
    manager_interval_s: float | None = None
    lock: bool = False
    lock_age_s: float = 5.0
    lock_timeout_s: float = 5.0
    min_uses: int = 1
    use_stale_updating: bool = False
    background_update: bool = False
    workers: int = 1
    settle_s: float = 0.0
    watch_manager: bool = False
    folder: Path | None = None
    load_modules: tuple[str, ...] = ()
    http_lines: tuple[str, ...] = ()
    server_lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_size_bytes", "ttl_s", "inactive_s", "manager_files", "min_uses", "workers"):
            value = getattr(self, name)
            if value != int(value) or value < 1:
                raise UsageError(f"{name} is {value!r}; NGINX takes whole numbers from 1")
        for name in ("manager_threshold_s", "manager_sleep_s", "lock_age_s", "lock_timeout_s"):
            if not 0.001 <= getattr(self, name) < 3600:
                raise UsageError(f"{name} is {getattr(self, name)!r}; NGINX counts whole milliseconds from 1")
        if not 0 <= self.settle_s <= 3600:
            raise UsageError(f"settle_s is {self.settle_s!r}; from 0 to 3600")
        interval_s = self.manager_interval_s
        if interval_s is not None and not SHORTEST_INTERVAL_S <= interval_s <= 10:
            raise UsageError(
                f"manager_interval_s is {interval_s!r}; from {SHORTEST_INTERVAL_S} to 10, or None for stock"
            )
        if not re.fullmatch(r"\d+[kKmM]", self.keys_zone):
            raise UsageError(f"keys_zone {self.keys_zone!r} is no size as NGINX writes it; an example is 64m")
        if self.background_update and not self.use_stale_updating:
            raise UsageError("background_update without use_stale_updating does nothing in NGINX; set both")

    @property
    def keys_zone_bytes(self) -> int:
        """Bytes of the shared memory."""
        return int(self.keys_zone[:-1]) << (10 if self.keys_zone[-1] in "kK" else 20)
