"""The directives of the NGINX module: its guard, its table, several caches; and what is refused, at a start or a build."""

from __future__ import annotations

import os
import re
import signal
import time

import numpy as np
import pytest
from learned import fake_sidecar as fake
from learned.fake_sidecar import FakeSidecar
from learned.nginx_module import PATIENT, SMALL, assert_sound, complaints, learned_nginx, mixed

from evictlab.experiments.cli.nginx import build
from evictlab.rl.build import BuildError, build_module
from evictlab.traces.errors import UsageError
from evictlab.traces.record.nginx import NginxError, RealConfig
from evictlab.traces.record.nginx.driver import connect, fetch

pytestmark = pytest.mark.nginx


def test_the_guard_stops_a_bad_policy_and_tries_it_again(module, folder):
    rng = np.random.default_rng(2)
    keys = rng.zipf(1.2, 4000) % 400
    config = RealConfig(4 << 20, watch_manager=True)
    with (
        FakeSidecar(str(folder / "s"), fake.most_requested) as sidecar,
        learned_nginx(
            config,
            module,
            f"evictlab_sidecar unix:{sidecar.path};",
            "evictlab_timeout 1000ms;",
            "evictlab_guard window=300 margin=0.05;",
        ) as learned,
    ):
        assert learned.ask_for(keys, 40_000, 1000).failed == []
        status = assert_sound(learned, uncounted=4 * 40_960)
        guard = status["caches"][0]["guard"]
        learned.nginx.finish()
        log = learned.nginx.places.manager_log.read_text()
    assert guard["stops"] >= 2
    assert status["fallbacks"]["guard"] > 0
    assert log.count("plain LRU would have hit more often") == guard["stops"]
    assert guard["stops"] - 1 <= log.count("the sidecar decides again") <= guard["stops"]
    assert 4000 // 300 <= guard["windows"] <= 4000 // 300 + guard["stops"]  # some were cut short
    assert guard["sampled"] == 4000
    assert guard["rate"] == 1
    assert len(re.findall(r"\[notice\].*evictlab: asked \d+, ok", log)) == 1  # the manager's last words


def test_the_guard_knows_what_lru_hits(module, folder):
    """In shadow the real cache is LRU, so the simulated one must say the same, but for what the manager is late."""
    rng = np.random.default_rng(3)
    keys = rng.zipf(1.2, 4000) % 1000
    with learned_nginx(
        SMALL,
        module,
        f"evictlab_sidecar unix:{folder}/none;",
        "evictlab_mode shadow;",
        "evictlab_interval 10ms;",
        "evictlab_guard window=500;",
    ) as learned:
        learned.ask_for(keys, 20_000 + keys * 10, 800)
        guard = assert_sound(learned, uncounted=8 * 32_768)["caches"][0]["guard"]
    assert guard["sampled"] == 4000
    assert guard["stops"] == 0
    assert 0.2 < guard["lru_hit_ratio"] < 0.9
    assert guard["real_hit_ratio"] == pytest.approx(guard["lru_hit_ratio"], abs=0.02)


def test_another_size_of_the_table_takes_a_restart(module, folder):
    with learned_nginx(SMALL, module, f"evictlab_sidecar unix:{folder}/s;", "evictlab_table 1m;") as learned:
        learned.ask_for(["a"], 10)
        places = learned.nginx.places
        places.conf.write_text(places.conf.read_text().replace("evictlab_table 1m", "evictlab_table 2m"))
        os.kill(learned.nginx.master, signal.SIGHUP)
        deadline = time.monotonic() + 5
        while not complaints(learned) and time.monotonic() < deadline:
            time.sleep(0.02)
        (line,) = complaints(learned)
        assert '"evictlab_table" is 1048576 bytes in the running nginx' in line
        assert learned.status()["table"]["entries"] == 1  # goes on with what it had


def test_a_table_that_is_too_small_forgets(module, folder):
    config = RealConfig(64 << 20)
    with learned_nginx(
        config, module, f"evictlab_sidecar unix:{folder}/none;", "evictlab_table 512k;", "evictlab_guard off;"
    ) as learned:
        assert learned.ask_for(np.arange(7000), 10).failed == []
        table = learned.status()["table"]
        assert complaints(learned) == []
        assert table["slots"] < 6000
        assert table["entries"] > 0.95 * table["slots"]
        assert table["residents"] == table["entries"]  # all of them are in the cache
        assert table["residents"] + table["displaced"] == 7000


def test_two_caches_share_a_table_and_nothing_else(module, folder):
    """The second one has levels of folders, stores at the second request, and forgets after a second."""
    (folder / "two").mkdir()
    folder.chmod(0o755)
    (folder / "two").chmod(0o777)
    two = f"proxy_cache_path {folder}/two levels=1:2 keys_zone=two:1m max_size=1m use_temp_path=off inactive=1d;"
    location = (
        "location /two/ { access_log off; proxy_cache two; proxy_cache_min_uses 2; proxy_cache_valid any 1s;"
        " proxy_pass http://origin; }"
    )
    with (
        FakeSidecar(str(folder / "s"), fake.largest) as sidecar,
        learned_nginx(
            SMALL, module, f"evictlab_sidecar unix:{sidecar.path};", *PATIENT, two, server_lines=(location,)
        ) as learned,
    ):
        learned.ask_for([f"a{n}" for n in range(50)], 20_000)  # fits
        with connect(learned.nginx.places.client) as connection:
            for pause_s in (0, 0.2, 2.1):  # fresh for a second, and whole seconds are compared
                time.sleep(pause_s)
                for n in range(60):
                    fetch(learned.nginx.places.client, f"/two/{n}", 10_000 + 500 * n, connection)
            time.sleep(0.2)
        status = learned.status()
        assert complaints(learned) == []
        files = [path for path in (folder / "two").rglob("*") if path.is_file()]
        on_disk = sum(path.stat().st_blocks * 512 for path in files)
    one, second = sorted(status["caches"], key=lambda cache: cache["zone"])
    assert one["nodes"] == 50  # nothing was taken from there
    assert second["bytes"] == on_disk < 1 << 20
    # First all 60 were not stored, then they were; at last those that were still there had expired, the others had to be
    # asked for twice again.
    assert 60 < second["requests"] < 120
    assert second["hits"] == 0
    assert (one["requests"], one["hits"]) == (50, 0)
    assert status["victims"]["evicted"] > 10
    assert status["table"]["entries"] == 110
    rows = np.concatenate([rows for _, _, rows in sidecar.asked])
    assert rows[:, fake.SIZE].min() > 0  # keys without a file are no candidates
    assert rows[:, fake.REQUESTS].min() == 1
    assert rows[:, 4].min() >= 0  # ttl_left_s: known
    assert {float(context[1]) for _, context, _ in sidecar.asked} == {1 << 20}
    smallest = {path.name for path in files if path.stat().st_size < 20_000}
    assert len(smallest) >= 18  # of 20: the largest go first


def test_an_exception_is_left_to_nginx(module, folder):
    keys, sizes = mixed(3)
    with (
        FakeSidecar(str(folder / "s")) as sidecar,
        learned_nginx(
            RealConfig(4 << 20, manager_interval_s=0.1),
            module,
            f"evictlab_sidecar unix:{sidecar.path};",
            "evictlab_except cache chache;",
        ) as learned,
    ):
        assert learned.ask_for(keys, sizes, 600).failed == []
        status = learned.status()
        assert complaints(learned) == []
        assert 'no cache with keys_zone "chache"' in learned.nginx.places.error_log.read_text()
    assert {cache["zone"]: cache["except"] for cache in status["caches"]} == {"cache": True, "tick": False}
    assert sidecar.asked == []
    assert status["table"]["entries"] == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("evictlab_sidecar /run/s;", "unix:"),
        ("evictlab_timeout 500;", "500us"),
        ("evictlab_timeout 0us;", "500us"),
        ("evictlab_candidates 65;", "from 1 to 64"),
        ("evictlab_candidates 16 tail=17;", "tail=N"),
        ("evictlab_candidates 16 tail=9 newest=8;", "together at most"),
        ("evictlab_candidates 16 tail=1 tail=1;", "tail=N"),
        ("evictlab_candidates 16 oldest=1;", "tail=N"),
        ("evictlab_mode maybe;", "on, shadow or off"),
        ("evictlab_interval 1h;", "from 1ms to 10s"),
        ("evictlab_guard window=3;", "window=N"),
        ("evictlab_table 1k;", "from 512k"),
        ("evictlab_status;", "not allowed here"),
        ("evictlab_mode on;", "without .evictlab_sidecar. nobody decides"),
        ("evictlab_mode on; evictlab_mode on;", "is duplicate"),
    ],
)
def test_a_directive_that_makes_no_sense_is_refused(module, line, said):
    with pytest.raises(NginxError, match=said), learned_nginx(SMALL, module, line):
        pass


def test_loaded_but_not_used_it_does_nothing(module):
    with learned_nginx(SMALL, module) as learned:
        learned.ask_for(["a", "a"], 10)
        assert learned.status() == {"version": 1, "mode": "off", "interval_ms": 0, "timeout_us": 500, "caches": []}


def test_what_is_missing_for_a_build_is_said(tmp_path):
    with pytest.raises(BuildError, match="nginx-dev"):
        build_module(tmp_path / "m.so", headers=tmp_path)
    (tmp_path / "conf_flags").touch()
    (tmp_path / "src" / "core").mkdir(parents=True)
    (tmp_path / "src" / "core" / "nginx.h").write_text('#define NGINX_VERSION      "1.99.9"\n')
    with pytest.raises(BuildError, match=r"are of nginx/1\.99\.9, but the installed NGINX is nginx/"):
        build_module(tmp_path / "m.so", headers=tmp_path)
    with pytest.raises(UsageError, match="no bundle"):
        build(tmp_path, None)
    with pytest.raises(UsageError, match="no sources"):
        build_module(tmp_path / "m.so", tmp_path)
    assert not list(tmp_path.glob("*.so"))
