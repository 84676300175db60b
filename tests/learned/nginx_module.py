"""A real NGINX with the module and an origin, for tests: asked for objects, and for its status."""

from __future__ import annotations

import http.client
import json
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evictlab.traces.batch import LOGGED
from evictlab.traces.record.nginx import RealConfig
from evictlab.traces.record.nginx.driver import Drive, Plan, drive
from evictlab.traces.record.nginx.helper import Helper
from evictlab.traces.record.nginx.logs import read_access_log
from evictlab.traces.record.nginx.server import Nginx, running_nginx

STATUS = "/evictlab-status"

SMALL = RealConfig(4 << 20)
PATIENT = ("evictlab_timeout 1000ms;", "evictlab_guard off;")
"""So that a busy machine is not mistaken for a bad sidecar, nor a test's odd policy for one to be stopped."""


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


class Learned:
    """An NGINX that runs."""

    def __init__(self, nginx: Nginx) -> None:
        self.nginx = nginx
        self._sent = 0

    def ask_for(self, keys: Any, sizes: Any, rate_per_s: float | None = None, connections: int = 4) -> Drive:
        """Send a GET for each key, of objects of so many bytes."""
        keys = np.asarray(keys)
        names, ids = np.unique(keys, return_inverse=True)
        sizes = np.broadcast_to(np.asarray(sizes, np.int64), keys.shape)
        due_s = None if rate_per_s is None else np.arange(len(keys)) / rate_per_s
        plan = Plan([f"/o/{name}" for name in names.tolist()], ids.astype(np.int32), sizes, due_s)
        return drive(self.nginx.places.client, plan, connections, check=self.nginx.check)

    def status(self) -> dict[str, Any]:
        """What `evictlab_status` says."""
        connection = _Connection(self.nginx.places.client)
        try:
            connection.request("GET", STATUS, headers={"Host": "status"})
            answer = connection.getresponse()
            assert answer.status == 200
            assert answer.getheader("Content-Type") == "application/json"
            return json.loads(answer.read())
        finally:
            connection.close()

    def cached_bytes(self) -> int:
        """Of all files of the cache, in whole blocks."""
        found = 0
        for path in self.nginx.places.cache.rglob("*"):
            try:
                found += path.stat().st_blocks * 512 if path.is_file() else 0
            except FileNotFoundError:  # evicted meanwhile
                continue
        return found

    def status_words(self, n: int) -> np.ndarray:
        """What became of each of the first `n` requests (of one `ask_for`); NGINX is stopped for that."""
        self.nginx.finish()
        return read_access_log(self.nginx.places.access_log, n).status


def complaints(learned: Learned) -> list[str]:
    """Lines of the error log that are worse than a warning, but for one that NGINX's own LRU provokes.

    A worker or manager that looks for something to evict finds the oldest objects in use, and calls it an alert: with LRU
    alone, few objects and a busy machine this comes a dozen times in a few seconds.
    """
    lines = learned.nginx.places.error_log.read_text().splitlines()
    bad = [line for line in lines if re.search(r"\[(error|crit|alert|emerg)\]", line)]
    return [line for line in bad if "ignore long locked inactive cache entry" not in line]


def mixed(rounds: int, small: int = 60) -> tuple[list[str], list[int]]:
    """Small objects again and again, and after each a large one that never comes back: LRU keeps none of the small ones."""
    keys = [name for turn in range(rounds) for n in range(small) for name in (f"small{n}", f"large{turn}.{n}")]
    return keys, [100_000 if key.startswith("large") else 10_000 for key in keys]


def assert_sound(learned: Learned, config: RealConfig = SMALL, uncounted: int = 0) -> dict[str, Any]:
    """The counters add up, the cache is within its bounds, what NGINX believes is on disk is there, nothing was logged.

    NGINX's own manager loses count of an object that is asked for while it deletes it: hence `uncounted` bytes.
    """
    time.sleep(0.3)
    status = learned.status()
    decisions, victims, rounds = status["decisions"], status["victims"], status["rounds"]
    assert decisions["asked"] == sum(decisions[name] for name in ("ok", "empty", "late", "failed"))
    assert decisions["asked"] == sum(count for _, count in status["round_trip_us"]["buckets"])
    assert victims["named"] == sum(victims[name] for name in ("evicted", "gone", "busy", "touched"))
    fallbacks, untimely = status["fallbacks"], status["untimely"]
    assert rounds["all"] == rounds["done"] + rounds["paused"] + sum(fallbacks.values())
    assert untimely["rounds"] == sum(fallbacks[name] for name in ("absent", "late", "failed"))
    assert untimely["of_rounds"] == rounds["all"] - fallbacks["guard"] - fallbacks["native"]
    assert untimely["share_of_rounds"] == pytest.approx(untimely["rounds"] / max(1, untimely["of_rounds"]), abs=1e-5)
    assert (untimely["questions"], untimely["of_questions"]) == (
        decisions["late"] + decisions["failed"],
        decisions["asked"],
    )
    (cache,) = status["caches"]
    assert cache["bytes"] < config.max_size_bytes
    assert abs(cache["bytes"] - learned.cached_bytes()) <= uncounted
    assert cache["nodes"] <= status["table"]["residents"] + 1
    assert complaints(learned) == []
    return status


def words(learned: Learned, n: int) -> np.ndarray:
    """What the log says of each of the first `n` requests, such as HIT; NGINX is stopped for that."""
    return np.array([LOGGED[code] for code in learned.status_words(n)])


@contextmanager
def learned_nginx(
    config: RealConfig, module: Path, *lines: str, server_lines: tuple[str, ...] = ()
) -> Iterator[Learned]:
    """Run NGINX with the module, our directives, and an origin."""
    status = f"location = {STATUS} {{ access_log off; evictlab_status; }}"
    config = replace(config, load_modules=(str(module),), http_lines=lines, server_lines=(status, *server_lines))
    with running_nginx(config) as nginx, Helper("origin", nginx.places.origin):
        yield Learned(nginx)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder near the root, for sockets, whose names may have a hundred letters; others may enter it."""
    with tempfile.TemporaryDirectory(prefix="evl-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
