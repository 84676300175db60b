"""``evictlab trace record``, in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from evictlab.traces import open_trace
from evictlab.traces.batch import LOGGED

COMMAND = [sys.executable, "-m", "evictlab.experiments.cli.main", "trace"]
LOAD = "zipf:requests=300,objects=40,sizes=4KiB,seed=2"


def run(*words, cwd, code=0):
    done = subprocess.run([*COMMAND, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.nginx
def test_a_recording_is_a_trace(tmp_path):
    words = ("record", "nginx", "--out", "real.parquet", "--size", "50%", "--rate", "1000/s", "--log", "nginx.log")
    done = run(*words, "--", LOAD, cwd=tmp_path)
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines()[1:] if "  " in line)
    assert done.stdout.startswith("nginx/")
    assert lines["requests"].startswith("300 in ")
    misses = int(re.search(r"MISS (\d+)", lines["hit"])[1])
    assert 36 <= misses < 60  # all 36 objects fit until the manager looks; some are asked for again while on their way
    assert "real.parquet: 300 requests, 36 objects, 144 KiB" in done.stderr
    trace = open_trace(tmp_path / "real.parquet", cache=False)
    assert set(trace.logged.tolist()) == {LOGGED.index("HIT"), LOGGED.index("MISS")}
    assert len((tmp_path / "nginx.log").read_text().splitlines()) == 300
    assert "origin time of each request" in run("info", "real.parquet", cwd=tmp_path).stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nginx.log", "real.parquet"]


@pytest.mark.nginx
def test_json_is_all_that_stdout_holds(tmp_path):
    done = run("record", "nginx", LOAD, "-o", "a.csv", "--size", "1MB", "--limit", 50, "--json", "-q", cwd=tmp_path)
    record = json.loads(done.stdout)["recording"]
    assert (record["requests"], record["answered"], record["late_s"]) == (50, 50, None)
    assert record["hit_ratio"] == pytest.approx(record["counts"]["HIT"] / 50)
    assert "proxy_cache_path" in record["conf"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        (("varnish", LOAD, "-o", "a.csv", "--size", "1MB"), "No such command 'varnish'"),
        (("nginx", LOAD, "-o", "a.xyz", "--size", "1MB"), "in which format?"),
        (("nginx", LOAD, "-o", "no/a.csv", "--size", "1MB"), "there is no folder 'no'"),
        (("nginx", LOAD, "-o", "a.csv", "--size", "10obj"), "NGINX counts bytes"),
        (("nginx", LOAD, "-o", "a.csv", "--size", "1MB", "--rate", "100"), "write it as 500/s"),
        (("nginx", LOAD, "-o", "a.csv", "--size", "1MB", "--ttl", "500ms"), "whole seconds"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, words, lesson):
    assert lesson in run("record", *words, cwd=tmp_path, code=2).stderr


def test_without_nginx_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("EVICTLAB_NGINX", str(tmp_path / "none"))
    done = run("record", "nginx", LOAD, "-o", "a.csv", "--size", "1MB", cwd=tmp_path, code=1)
    assert "apt-get install nginx" in done.stderr
