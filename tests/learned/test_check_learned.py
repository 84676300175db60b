"""``evictlab check learned``: one short pair through a real NGINX; verdicts and page from rows that are made up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from evictlab.experiments.checks import learned as study
from evictlab.experiments.checks.learned_page import LEARNED, NATIVE
from evictlab.experiments.checks.learned_verdicts import verdicts
from evictlab.policies import Setting
from evictlab.policies.contract import kernels_of
from evictlab.rl.check.asked import AsAsked
from evictlab.rl.check.cpu import cpu_of, cpu_seconds
from evictlab.rl.check.predict import predict
from evictlab.rl.check.setup import Setup
from evictlab.sim.check.nginx import Ground
from evictlab.sim.proxy import CacheManager, ProxyConfig, simulate_proxy
from evictlab.traces.errors import UsageError
from evictlab.traces.generate import generate, trap
from evictlab.traces.record.nginx import RealConfig

MIX = "one_hit:requests=1500,objects=100,alpha=0.8,one_hit_share=0.25,sizes=20kB,one_hit_sizes=200kB"
COMMAND = [sys.executable, "-m", "evictlab.experiments.cli.main", "check", "learned", MIX, "--size", "5MiB"]


def children_of(pid):
    """Command lines of the processes under one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return [Path(f"/proc/{each}/cmdline").read_bytes() for each in family if Path(f"/proc/{each}").exists()]


def processes_with(word):
    """Command lines of processes that say it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(word).encode() in command:
                found.append(command)
    return found


@pytest.mark.nginx
@pytest.mark.slow
@pytest.mark.usefixtures("nginx_tools")
@pytest.mark.parametrize("python", [False, True], ids=["c", "python"])
def test_a_pair_is_measured_and_predicted(folder, tmp_path, python):
    words = ["--rate", "600/s", "--limit", "1200", "--repeat", "1", "--json", "-q", *(["--python"] if python else [])]
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 3), done.stderr  # a busy machine misses what is asked of round trips
    native, learned = json.loads(done.stdout)["rows"]
    assert (native["policy"], learned["policy"]) == (NATIVE, LEARNED)
    assert (native["sidecar"], learned["sidecar"]) == (None, "Python" if python else "C")
    for row in (native, learned):
        assert row["failed"] == row["grave_lines"] == 0
        assert row["requests"] == 1200
        assert row["origin_requests"] == pytest.approx(1200 * (1 - row["hit_ratio"]), abs=0.5)
        assert row["peak_bytes"] > row["max_size_bytes"]
        assert 0 < row["hit_latency_p50_ms"] <= row["hit_latency_p99_ms"]
        assert row["workers_cpu_s"] > 0
    # 0.005 is what is reached on a quiet machine.
    assert abs(native["difference"]) < 0.03
    assert native["sidecar_cpu_s"] == 0
    assert native["rounds"] is None
    assert learned["asked"] == learned["ok"] + learned["late_answers"] + learned["errors"] > 0
    assert learned["errors"] == 0
    assert learned["fallbacks"] <= learned["rounds"]
    assert sum(learned["predicted_hit_ratio"] > row["predicted_hit_ratio"] for row in (native,)) == 1
    assert {path.name for path in (tmp_path / "checked").iterdir()} == {"learned.md", "learned.csv", "learned.png"}
    assert list(folder.iterdir()) == []
    assert processes_with(folder) == []


SLOW = """
from evictlab.rl.check.run import run_once
from evictlab.rl.check.setup import model_folder, setup_of
from evictlab.rl.sidecar.model import load_model
from evictlab.traces.generate import generate
from evictlab.traces.record.nginx import RealConfig
model = load_model(model_folder("trap"))
trace = generate("zipf:requests=1000,objects=100,sizes=20kB")
run_once(trace, RealConfig(5 << 20), setup_of(model.metadata, 0.05), model, rate_per_s=20)
"""


@pytest.mark.nginx
@pytest.mark.slow
@pytest.mark.usefixtures("nginx_tools")
def test_nothing_stays_after_an_interrupt(folder):
    environment = os.environ | {"TMPDIR": str(folder)}
    child = subprocess.Popen([sys.executable, "-c", SLOW], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob("evictlab-nginx-*/cache/*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        began = [
            command for command in (b"nginx:", b"serve") if any(command in each for each in children_of(child.pid))
        ]
        assert began == [b"nginx:", b"serve"]
    finally:
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1]
    assert "KeyboardInterrupt" in said
    assert list(folder.iterdir()) == []
    assert processes_with(folder) == []


NUMBERS = {
    "workload": "trap",
    "requests": 25_000,
    "size": "25MiB",
    "max_size_bytes": 25 << 20,
    "manager_interval_ms": 50.0,
    "rate_per_s": 500.0,
    "agreeing": 0.97,
    "byte_hit_ratio": 0.4,
    "predicted_byte_hit_ratio": 0.4,
    "difference": 0.004,
    "origin_requests": 15_000,
    "predicted_origin_requests": 15_010,
    "peak_bytes": 35 << 20,
    "predicted_peak_bytes": 35 << 20,
    "final_bytes": 25 << 20,
    "predicted_final_bytes": 25 << 20,
    "failed": 0,
    "late": 0,
    "late_p99_ms": 2.0,
    "latency_p50_ms": 0.6,
    "latency_p99_ms": 6.0,
    "hit_latency_p50_ms": 0.3,
    "hit_latency_p99_ms": 4.0,
    "sidecar_cpu_s": 0.3,
    "manager_cpu_s": 0.6,
    "workers_cpu_s": 9.0,
    "core_share": 0.02,
    "nginx_share": 0.1,
    "grave_lines": 0,
    "why": None,
    "series": {"real": [0.3] * 50, "predicted": [0.3] * 50, "round_trip_us": []},
}
COUNTED = {
    "rounds": 1000,
    "fallbacks": 10,
    "fallback_share": 0.01,
    "why": "late 10",
    "asked": 2000,
    "ok": 1970,
    "late_answers": 30,
    "errors": 0,
    "victims": 14_000,
    "round_trip_p50_us": 90,
    "round_trip_p95_us": 448,
    "round_trip_p99_us": 704,
    "series": NUMBERS["series"] | {"round_trip_us": [[88, 900], [448, 1050], [704, 50]]},
}


def pairs(n=3, native=None, learned=None):
    """Rows of `n` pairs, in the order of measuring; what is given changes those of the last pair."""
    rows = []
    for repeat in range(n):
        last = repeat == n - 1
        ours = NUMBERS | {"repeat": repeat, "policy": NATIVE, "hit_ratio": 0.31, "predicted_hit_ratio": 0.314}
        theirs = (
            NUMBERS | COUNTED | {"repeat": repeat, "policy": LEARNED, "hit_ratio": 0.4, "predicted_hit_ratio": 0.404}
        )
        pair = [ours | ((native or {}) if last else {}), theirs | ((learned or {}) if last else {})]
        rows += pair[:: -1 if repeat % 2 else 1]
    return rows


def missed(rows):
    return [each.aim for each in verdicts(rows) if each.met is False]


def test_what_is_met_on_the_edge_is_met():
    assert missed(pairs()) == []
    assert all(each.met for each in verdicts(pairs()))
    assert missed(pairs(native={"difference": -0.01}, learned={"difference": 0.01})) == []


@pytest.mark.parametrize(
    ("native", "learned", "aim"),
    [
        ({"hit_ratio": 0.4}, {}, "hit ratio above native's in every pair"),
        ({}, {"round_trip_p95_us": 500}, "round trip p95 below 500 us in every run"),
        ({}, {"asked": 0}, "round trip p95 below 500 us in every run"),
        ({}, {"fallback_share": 0.0101}, "LRU in at most 1% of every run's rounds"),
        ({}, {"rounds": 0}, "LRU in at most 1% of every run's rounds"),
        ({"difference": -0.0101}, {}, "native predicted within 1 point"),
        ({}, {"difference": 0.0101}, "learned predicted within 1 point"),
        ({"grave_lines": 1}, {}, "no crit, alert or emerg in NGINX's error log"),
        ({}, {"failed": 1}, "no failed requests"),
        ({}, {"hit_latency_p50_ms": None}, "hits' p50 not above native's slowest"),
    ],
)
def test_one_run_that_misses_is_enough(native, learned, aim):
    assert missed(pairs(native=native, learned=learned)) == [aim]


def test_latency_is_judged_by_the_median_and_never_by_two_pairs():
    aim = "hits' p99 not above native's slowest"
    assert missed(pairs(learned={"hit_latency_p99_ms": 50.0})) == []  # one of three
    slow = [row | {"hit_latency_p99_ms": 4.1} if row["policy"] == LEARNED else row for row in pairs()]
    assert missed(slow) == [aim]
    noisy = [
        row | {"hit_latency_p99_ms": 4.2} if row["policy"] == NATIVE and not row["repeat"] else row for row in slow
    ]
    assert missed(noisy) == []
    two = {each.aim: each for each in verdicts([row for row in slow if row["repeat"] < 2])}
    assert two[aim].met is None
    assert two[aim].word == "unknown"


def test_a_page_says_what_is_missed(tmp_path):
    rows = pairs(learned={"round_trip_p95_us": 3328, "late_p99_ms": 31.0})
    page, judged = study.reproduction(rows)
    assert [each.met for each in judged].count(False) == 1
    files = page.write(tmp_path, {"command": "c"})
    assert [file.suffix for file in files] == [".md", ".csv", ".png"]
    text = files[0].read_text()
    assert "| round trip p95 below 500 us in every run | MISSED | 448 to 3328 us |" in text
    assert "| hit ratio above native's in every pair | met | +9.00 points |" in text
    assert "LRU went on in some rounds: learned 1: late 10; learned 2: late 10; learned 3: late 10." in text
    assert "sent more than 20 ms late: learned 3." in text
    assert "series" not in page.rows[0]


def test_pairs_take_turns():
    trace = generate(MIX)
    runs = study.plan("mine", trace, "5MiB", "trap", 0.05, None, repeats=3)
    assert [run.policy for run in runs] == [NATIVE, LEARNED, LEARNED, NATIVE, NATIVE, LEARNED]
    assert len({run.key("a") for run in runs}) == 6  # a journal tells them apart
    assert runs[0].key("a") != runs[0].key("b")  # another model
    assert {run.rate_per_s for run in runs} == {500.0}
    (usual, _) = study.plan("trap", trace, None, "trap", 0.05, None, repeats=1)
    assert usual.size == "25MiB"
    with pytest.raises(UsageError, match="--size 25MiB"):
        study.plan("mine", trace, None, "trap", 0.05, None)
    with pytest.raises(UsageError, match="max_size is in bytes"):
        study.plan("mine", trace, "5obj", "trap", 0.05, None)


def test_only_the_policy_differs():
    setup = Setup(Path("module.so"), 0.05, 64, 8, 8)
    native, learned = (setup.config(RealConfig(5 << 20), path) for path in (None, "/s"))
    assert native.http_lines == ("evictlab_interval 50ms;", "evictlab_mode off;")
    assert learned.http_lines[0] == native.http_lines[0]
    assert "evictlab_candidates 64 tail=8 newest=8;" in learned.http_lines
    assert "evictlab_sidecar unix:/s;" in learned.http_lines
    assert native.load_modules == learned.load_modules == ("module.so",)
    assert native.manager_interval_s is learned.manager_interval_s is None
    with pytest.raises(UsageError, match="every 20 s"):
        Setup(Path("m"), 20.0).config(RealConfig(5 << 20), None)


def test_a_compiled_policy_decides_as_an_interpreted_one():
    trace, manager = trap(n_requests=150, seed=5), CacheManager(interval_s=0.05)
    config = ProxyConfig("5MiB", manager, ttl="trace", origin=0.1, rate_per_s=500)
    for policy in ("cold_rl:trap", AsAsked("trap")):
        plain, quick = (simulate_proxy(trace, policy, config, compiled=compiled) for compiled in (False, True))
        assert (plain.outcomes == quick.outcomes).all()
        assert plain.decisions_ok == quick.decisions_ok > 40


@pytest.mark.parametrize(("too_much", "victims"), [(0, 1), (1, 1), (35, 4), (10**6, 8)])
def test_a_decision_names_victims_until_there_is_room(too_much, victims):
    """Of 64 candidates at most 8; each object is 10 bytes, and at least one byte more than is too much must go."""
    n, stored = 200, np.full(200, 10)
    state = AsAsked("trap").make(Setting(n, max(1, 10 * n - too_much), stored, 1, times=np.arange(400.0)))
    do = kernels_of(state)
    for obj in range(n):
        do.admit(state, obj, obj, 10)
        do.insert(state, obj, obj, 10)
    do.hit(state, 0, n, 10)  # the oldest stands where the newest are, but is not new
    gone = [int(do.evict(state, n - 1, n, 10))]
    who, q = state.cache.who.tolist(), state.network.q.copy()
    assert len(set(who)) == 64
    assert who[:16] == [*range(1, 9), *range(199, 191, -1)]
    gone += [int(do.evict(state, n - 1, n, 10)) for _ in range(victims - 1)]
    assert gone == [who[i] for i in np.argsort(-q, kind="stable")[:victims]]
    assert not any(do.find(state, obj) for obj in gone)
    assert (state.cache.who == who).all()  # it was one decision
    do.evict(state, n - 1, n, 10)
    assert set(state.cache.who.tolist()).isdisjoint(gone)  # the next one looks anew


def test_the_learned_policy_is_predicted_with_what_nginx_knows():
    """What the trace says of costs and times is not what NGINX sees; the prediction goes by the rate and the origin."""
    trace, ground = trap(n_requests=3000, seed=5), Ground(-0.3, 1.7e9)
    plain = trace.from_columns(trace.ids.astype("uint64"), sizes=trace.sizes)
    made = [predict(one, RealConfig(25 << 20), 500.0, ground, 0.05, AsAsked("trap")) for one in (trace, plain)]
    assert made[0].hit_ratio == made[1].hit_ratio
    native = predict(trace, RealConfig(25 << 20), 500.0, ground, 0.05)
    assert native.decisions_ok == 0
    assert made[0].hit_ratio > native.hit_ratio + 0.03


def test_cpu_seconds_are_those_of_the_process():
    before = cpu_seconds(os.getpid())
    began = time.process_time()
    while time.process_time() - began < 0.1:
        pass
    assert 0.08 <= cpu_seconds(os.getpid()) - before < 1
    assert cpu_seconds(2**22 + 1) == 0
    nobody = cpu_of(os.getpid(), os.getpid()) - cpu_of(os.getpid())
    assert nobody.sidecar > 0
    assert nobody.manager == nobody.workers == 0
