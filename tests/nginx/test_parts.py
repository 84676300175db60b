"""Parts of the recorder that need no NGINX: configuration, addresses, logs, the origin and the driver."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces.batch import LOGGED
from evictlab.traces.errors import UsageError
from evictlab.traces.record.nginx import MissingNginxError, NginxError, RealConfig, find_nginx
from evictlab.traces.record.nginx.conf import LOG_FIELDS, Places, nginx_conf
from evictlab.traces.record.nginx.disk import file_bytes, weigh
from evictlab.traces.record.nginx.driver import Plan, drive, uri_of
from evictlab.traces.record.nginx.helper import Helper
from evictlab.traces.record.nginx.logs import read_access_log, read_manager_log, warnings_in
from evictlab.traces.record.nginx.recording import last_known

MISS, HIT = LOGGED.index("MISS"), LOGGED.index("HIT")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_size_bytes": 0},
        {"ttl_s": 0.5},
        {"manager_sleep_s": 0},
        {"manager_interval_s": 0.001},
        {"keys_zone": "64 MB"},
        {"background_update": True},
    ],
)
def test_what_nginx_would_not_take_is_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        RealConfig(**{"max_size_bytes": 10**6, **wrong})


def test_a_missing_nginx_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("EVICTLAB_NGINX", str(tmp_path / "nginx"))
    with pytest.raises(MissingNginxError, match="apt-get install nginx"):
        find_nginx()
    (tmp_path / "nginx").write_text("#!/bin/sh\n")
    (tmp_path / "nginx").chmod(0o755)
    assert find_nginx() == tmp_path / "nginx"


def test_the_configuration_says_what_was_asked(tmp_path):
    config = RealConfig(25_000_000, ttl_s=60, manager_files=7, manager_sleep_s=0.02, lock=True, min_uses=2)
    text = nginx_conf(config, Places(tmp_path))
    for words in (
        "max_size=25000000 ",
        "manager_files=7 ",
        "manager_sleep=20ms",
        "any 60s;",
        "lock on;",
        "min_uses 2;",
    ):
        assert words in text
    assert "/tick/" not in text
    server = text.index("server {")
    assert "access_log off;" in text[:server]  # or an ordinary user's NGINX fails to open the system's
    assert "inactive=1s" in nginx_conf(RealConfig(1, manager_interval_s=0.05), Places(tmp_path))


@given(st.lists(st.text(), unique=True))
def test_different_keys_have_different_addresses(keys):
    uris = [uri_of(key) for key in keys]
    assert len(set(uris)) == len(keys)
    for uri in uris:
        assert uri.startswith("/o/")
        assert uri.isascii()
        assert not set(uri) & set(" ?#\r\n")
        assert ".." not in uri


def test_an_address_does_not_climb():
    assert uri_of("a b/../c~") == "/o/a%20b%2F~2E~2E%2Fc~7E"
    assert uri_of(12) == "/o/12"


@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(1, 9)), min_size=1), st.randoms())
def test_a_cost_is_that_of_the_last_fetch(requests, random):
    order = list(range(len(requests)))
    random.shuffle(order)
    seen: dict[int, float] = {}
    expected = np.full(len(requests), np.nan, np.float32)
    for number in order:
        key, cost = requests[number]
        if cost is not None:
            seen[key] = cost
        expected[number] = seen.get(key, np.nan)
    ids = np.array([key for key, _ in requests], np.int32)
    costs = np.array([np.nan if cost is None else cost for _, cost in requests], np.float32)
    assert np.array_equal(last_known(ids, costs, np.array(order)), expected, equal_nan=True)


def line(**fields):
    fields = {"id": "0", "status": "200", "body_bytes_sent": "5", "request_time": "0.010", **fields}
    return json.dumps({**dict.fromkeys(LOG_FIELDS, ""), **fields}) + "\n"


def test_the_access_log_is_put_in_the_order_of_sending(tmp_path):
    path = tmp_path / "access.log"
    path.write_text(
        line(id="2", upstream_cache_status="HIT", upstream_response_time="")
        + line(id="0", upstream_cache_status="MISS", upstream_response_time="0.001, 0.004 : 0.002")
    )
    answers = read_access_log(path, 3)
    assert answers.status.tolist() == [MISS, 0, HIT]
    assert answers.http_status.tolist() == [200, 0, 200]
    assert answers.upstream_s[0] == pytest.approx(0.007)
    assert np.isnan(answers.upstream_s[1:]).all()


@pytest.mark.parametrize("bad", ["{", line(id="x"), line(id="3"), line(upstream_cache_status="SOMETHING")])
def test_a_line_of_the_log_that_is_not_ours_is_an_error(tmp_path, bad):
    path = tmp_path / "access.log"
    path.write_text(line() + bad)
    with pytest.raises(NginxError, match="line 2"):
        read_access_log(path, 3)


def test_rounds_of_the_manager_are_those_of_the_first_cache(tmp_path):
    text = """
        [debug] 7#7: http file cache expire
        [debug] 7#7: http file cache size: 30 c:4 w:-1
        [debug] 8#8: http file cache size: 99 c:9 w:-1
        [debug] 7#7: http file cache size: 20 c:3 w:-1
        [debug] 7#7: http file cache manager: 1 e:2 n:10000
        [debug] 7#7: http file cache manager: 5 e:0 n:50
        [debug] 7#7: event timer add: -1: 50:1000050
        [notice] 7#7: signal 15
        [warn] 7#7: something is odd
    """
    path = tmp_path / "manager.log"
    path.write_text(text)
    rounds = read_manager_log(path, 7)
    values = [getattr(rounds, name).tolist() for name in rounds.__dataclass_fields__]
    assert values == [[1000.0], [30], [20], [4], [1], [2], [10000], [50]]
    assert [words.strip() for words in warnings_in(path)] == ["[warn] 7#7: something is odd"]


def test_a_folder_weighs_its_whole_blocks(tmp_path):
    for name, size in {"a" * 32: 1, "b" * 32: 4096, "c" * 32: 4097, "d" * 32 + ".0000000001": 9999}.items():
        (tmp_path / name).write_bytes(bytes(size))
    _, rounded, files = weigh(tmp_path, 4096)
    assert (rounded, files) == (4 * 4096, 3)
    assert file_bytes(np.array([8, 4]), np.array([20000, 9])).tolist() == [20433, 434]


def test_origin_and_driver_agree_on_every_byte(tmp_path):
    path = str(tmp_path / "o.sock")
    sizes = np.array([1, 32768, 32769, 1 << 20, 3_000_001, 7] * 20, np.int64)
    with Helper("origin", path) as origin:
        assert origin.first_line == "ready"
        told: list[int] = []
        ids = np.arange(len(sizes), dtype=np.int32)
        plan = Plan([uri_of(i) for i in ids], ids, sizes, due_s=ids / 500)
        run = drive(path, plan, 4, told.append)
        counted = json.loads(origin.close())
    assert run.failed == []
    assert counted == {"requests": 120, "body_bytes": int(sizes.sum())}
    assert sum(told) <= 120
    assert (run.sent_s - run.start_s >= ids / 500).all()  # never early
    assert (run.ended_s > run.sent_s).all()


def test_the_driver_gives_up_on_a_server_that_is_not_there(tmp_path):
    n = 1000
    ids = np.zeros(n, np.int32)
    run = drive(str(tmp_path / "nobody.sock"), Plan(["/o/1"], ids, np.ones(n, np.int64)), 3)
    assert 100 < len(run.failed) < 110
    assert np.isnan(run.ended_s).all()


def test_the_run_ends_with_what_the_check_raises(tmp_path):
    calls = itertools.count()

    def check():
        if next(calls) > 1:
            raise NginxError("gone")

    with Helper("origin", str(tmp_path / "o.sock")):
        plan = Plan(["/o/1"], np.zeros(100, np.int32), np.ones(100, np.int64), due_s=np.arange(100) * 1.0)
        with pytest.raises(NginxError, match="gone"):
            drive(str(tmp_path / "o.sock"), plan, 2, check=check)
