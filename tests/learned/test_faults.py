"""What can go wrong while NGINX serves: the sidecar dies, hangs, is late or lies, NGINX reloads, memory for keys is short.

Each fault happens under load, with the real sidecar where it can, and the model of the package. Clients must not notice more of
it than with NGINX alone, the cache keeps its bounds, and afterwards the sidecar decides again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learned import fake_sidecar as fake
from learned.fake_sidecar import FakeSidecar
from learned.nginx_module import complaints, learned_nginx

pytest.importorskip("onnx")

from tiny_model import write_tiny_model

from evictlab.policies.cache import learned as policies
from evictlab.rl.sidecar import running_server
from evictlab.traces.record.nginx import RealConfig

pytest.importorskip("onnxruntime")  # after tiny_model, which turns its telemetry off

pytestmark = [pytest.mark.nginx, pytest.mark.slow]

TRAP = Path(policies.__file__).parent / "models" / "trap"

CONFIG = RealConfig(8 << 20)
PATIENT = ("evictlab_timeout 20ms;", "evictlab_guard off;")
"""A machine that is busy with other tests is no fault of the sidecar's."""

CONNECTIONS = 4
PATIENCE_S = 20


def objects(n, seed=0):
    """Keys and sizes of requests: popular ones of 10 to 40 kB, and every third one is new, and larger."""
    rng = np.random.default_rng(seed)
    keys = rng.zipf(1.2, n) % 500
    once = rng.random(n) < 1 / 3
    return np.where(once, 1000 + np.arange(n), keys), np.where(once, 80_000, 10_000 + 60 * keys)


@contextmanager
def real_sidecar(path, model=TRAP):
    """The server in C, with a socket that NGINX's account may use."""
    with running_server(model, path, stdout=subprocess.DEVNULL) as server:
        Path(path).chmod(0o666)
        yield server


class Load:
    """Requests in a thread, while in its ``with`` block: until they are all answered."""

    def __init__(self, learned, seconds, rate=400):
        self.learned = learned
        self.largest = 0
        keys, sizes = objects(int(seconds * rate))
        self._thread = threading.Thread(
            target=lambda: setattr(self, "drive", learned.ask_for(keys, sizes, rate, CONNECTIONS)), daemon=True
        )

    def __enter__(self):
        self._thread.start()
        return self

    def ok(self):
        """Decisions that the sidecar has made so far."""
        status = self.learned.status()
        self.largest = max(self.largest, status["caches"][0]["bytes"])
        return status["decisions"]["ok"]

    def more_decisions(self, n=5):
        """Wait until the sidecar has made some more."""
        before, deadline = self.ok(), time.monotonic() + PATIENCE_S
        while self.ok() < before + n:
            assert self._thread.is_alive(), "the load is over, and the sidecar did not decide again"
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def go_on_for(self, seconds):
        """Let it be as it is, and look at the cache."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.ok()
            time.sleep(0.02)

    def __exit__(self, kind, *_):
        if kind is None:
            self._thread.join()


def assert_bounded(load, config=CONFIG):
    """Between two looks of the manager the cache may grow, by what comes in; in the end it is as large as it may be."""
    time.sleep(0.3)
    status = load.learned.status()
    assert load.largest < 1.5 * config.max_size_bytes
    assert status["caches"][0]["bytes"] < config.max_size_bytes
    # NGINX's own manager loses count of an object that is asked for while it deletes it; LRU alone does, too.
    assert load.learned.cached_bytes() < config.max_size_bytes + 8 * 80_000
    return status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_sidecar_that_ends_and_is_started_again(module, folder, number):
    path = folder / "s"
    with learned_nginx(CONFIG, module, f"evictlab_sidecar unix:{path};", *PATIENT) as learned:
        with Load(learned, 6) as load:
            with real_sidecar(path) as server:
                load.more_decisions()
                os.kill(server.pid, number)
                load.go_on_for(0.5)
            load.go_on_for(0.5)
            with real_sidecar(path):
                load.more_decisions()
                load.go_on_for(1)
        status = assert_bounded(load)
        assert load.drive.failed == []
        assert complaints(learned) == []
    # One that ends in good order may still accept a connection in its last milliseconds.
    assert status["decisions"]["connects"] in ([2] if number == signal.SIGKILL else [2, 3])
    assert status["fallbacks"]["absent"] > 5  # meanwhile LRU went on
    assert status["untimely"]["rounds"] >= status["fallbacks"]["absent"]


def test_a_sidecar_that_is_stopped_and_goes_on(module, folder):
    path = folder / "s"
    with (
        real_sidecar(path) as server,
        learned_nginx(CONFIG, module, f"evictlab_sidecar unix:{path};", *PATIENT) as learned,
    ):
        with Load(learned, 5) as load:
            load.more_decisions()
            os.kill(server.pid, signal.SIGSTOP)
            try:
                load.go_on_for(1.5)
            finally:
                os.kill(server.pid, signal.SIGCONT)
            load.more_decisions()
        status = assert_bounded(load)
        assert load.drive.failed == []
        assert complaints(learned) == []
    assert status["fallbacks"]["late"] > 5
    assert status["decisions"]["stale"] > 0  # it answered what nobody waited for any more
    assert status["decisions"]["connects"] == 1


def cut_short(connection, number, mask):
    connection.send(fake.REPLY.pack(fake.MAGIC, 1, 0, number, mask)[:12])


def too_long(connection, number, mask):
    connection.send(fake.REPLY.pack(fake.MAGIC, 1, 0, number, mask) + bytes(8))


def of_another_version(connection, number, mask):
    connection.send(fake.REPLY.pack(fake.MAGIC, 2, 0, number, mask))


LIES = {
    "late": (fake.late, "late"),
    "silent": (fake.silent, "late"),
    "wrong_number": (fake.wrong_number, "late"),
    "garbage": (fake.garbage, "failed"),
    "cut_short": (cut_short, "failed"),
    "too_long": (too_long, "failed"),
    "of_another_version": (of_another_version, "failed"),
    "refusing": (fake.refusing, "failed"),
    "hanging_up": (fake.dying, "failed"),
}


@pytest.mark.parametrize("how", LIES)
def test_a_sidecar_that_answers_badly_for_a_while(module, folder, how):
    """This one is a few lines of Python, for the real one cannot be made to."""
    answer, fallback = LIES[how]
    with (
        FakeSidecar(str(folder / "s")) as sidecar,
        learned_nginx(CONFIG, module, f"evictlab_sidecar unix:{sidecar.path};", *PATIENT) as learned,
    ):
        with Load(learned, 4.5) as load:
            load.more_decisions()
            sidecar.answer = answer
            load.go_on_for(0.6)
            sidecar.answer = fake.well
            load.more_decisions()
        status = assert_bounded(load)
        assert load.drive.failed == []
        assert complaints(learned) == []
    assert status["fallbacks"][fallback] > 0
    assert status["untimely"]["rounds"] > 0


def lost_by_reloads(learned, times):
    """Requests that were lost while NGINX reloaded under load."""
    with Load(learned, 5) as load:
        for _ in range(times):
            time.sleep(0.8)
            learned.nginx.reload()
        time.sleep(0.8)
    return load, [why for _, why in load.drive.failed]


def test_reloads(module, folder):
    """An old worker closes the connections that it keeps alive; a request that is just being sent on one is lost."""
    path, times = folder / "s", 3
    with learned_nginx(CONFIG, module, "evictlab_interval 50ms;") as native:
        _, with_lru = lost_by_reloads(native, times)
    with (
        real_sidecar(path),
        learned_nginx(CONFIG, module, f"evictlab_sidecar unix:{path};", *PATIENT) as learned,
    ):
        load, lost = lost_by_reloads(learned, times)
        status = assert_bounded(load)
        assert complaints(learned) == []
        assert status["decisions"]["connects"] == times + 1
        assert status["fallbacks"]["absent"] == 0
    # How many there are is chance, at most one for each connection and reload; none is lost for another reason.
    assert len(lost) <= CONNECTIONS * times
    assert all("closed" in why or "reset" in why or "Broken pipe" in why for why in [*lost, *with_lru])


def with_few_keys(learned):
    """Ask for more objects than there is memory for their keys: what failed, and the status."""
    failed = learned.ask_for(np.arange(2000), 1000, 800).failed
    time.sleep(0.3)
    assert complaints(learned) == []
    return failed, learned.status()


def test_a_keys_zone_that_is_full(module, folder):
    """Then the workers evict, too."""
    config, path = replace(CONFIG, max_size_bytes=1 << 30, keys_zone="64k"), folder / "s"
    with learned_nginx(config, module, "evictlab_interval 50ms;") as native:
        with_lru, _ = with_few_keys(native)
    with (
        real_sidecar(path),
        learned_nginx(config, module, f"evictlab_sidecar unix:{path};", *PATIENT) as learned,
    ):
        failed, status = with_few_keys(learned)
    assert failed == with_lru == []
    assert status["decisions"]["ok"] > 0
    assert status["caches"][0]["nodes"] < 600


def hit_ratio(learned, keys, sizes):
    assert learned.ask_for(keys, sizes, 800, CONNECTIONS).failed == []
    cache = next(cache for cache in learned.status()["caches"] if cache["zone"] == "cache")
    assert complaints(learned) == []
    return cache["hits"] / cache["requests"], cache["guard"]


def test_the_guard_bounds_what_a_bad_model_costs(module, folder, tmp_path):
    """The real sidecar with a model that evicts what is asked for most: without the guard it ruins the cache."""
    path = folder / "s"
    model = write_tiny_model(tmp_path / "bad", {"requests": 4.0, "recent": 4.0, "idle_s": -1.0})
    rng = np.random.default_rng(5)
    keys = rng.zipf(1.2, 6000) % 600
    lines = (f"evictlab_sidecar unix:{path};", "evictlab_timeout 20ms;", "evictlab_interval 10ms;")
    config = RealConfig(4 << 20)
    ratios = {}
    with real_sidecar(path, model):
        for name, line in (
            ("lru", "evictlab_mode shadow;"),
            ("bad", "evictlab_guard off;"),
            ("guarded", "evictlab_guard window=250 margin=0.02;"),
        ):
            with learned_nginx(config, module, *lines, line) as learned:
                ratios[name], guard = hit_ratio(learned, keys, 30_000)
    assert ratios["bad"] < ratios["lru"] - 0.1, "a model that does no harm proves nothing"
    assert ratios["guarded"] > ratios["lru"] - 0.04
    assert guard["stops"] >= 2
