"""``evictlab proxy`` on the command line, within this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from evictlab.experiments.cli.guard import Command
from evictlab.experiments.cli.proxy import proxy

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command(cls=Command)(proxy)


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """300 requests in 30 s for 60 objects of 5 to 11 kB."""
    keys = np.random.default_rng(0).zipf(1.3, 300) % 60
    lines = ["time_s,key,size", *(f"{i / 10},{key},{5000 + 100 * key}" for i, key in enumerate(keys.tolist()))]
    path = tmp_path / "web.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*words: object, code: int = 0) -> Any:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(APP, [*map(str, words), "--no-cache"])
    assert "Traceback" not in result.stderr + result.stdout
    assert result.exit_code == code, f"exit code {result.exit_code}: {result.stdout}{result.stderr}"
    return result


def test_a_line_per_policy_and_size(web):
    result = run(
        web, "--policy", "lru,gdsf", "--size", "50kB,100kB", "--origin-rtt", "50ms+10MB/s", "--ttl", "20s", "--lock"
    )
    lines = result.stdout.splitlines()
    assert lines[0].startswith("web.csv  300 requests")
    assert lines[2].split()[:4] == ["policy", "size", "hit", "%"]
    assert [line.split()[:2] for line in lines[3:]] == [
        ["lru", "50kB"],
        ["lru", "100kB"],
        ["gdsf", "50kB"],
        ["gdsf", "100kB"],
    ]
    assert max(map(len, lines)) <= 80
    assert result.stderr == ""


def test_json_files_and_a_picture(web, tmp_path):
    rows, picture = tmp_path / "rows.csv", tmp_path / "proxy.png"
    words = [
        "--size",
        "50kB",
        "--manager-interval",
        "500ms",
        "--stale-while-revalidate",
        "--ttl",
        "1s",
        "--rate",
        "20/s",
    ]
    extra = ["--decision-latency", "300us", "--deadline", "500us", "--keys-zone", "50obj", "--block", "none", "--json"]
    result = run(web, *words, *extra, "--output", rows, "--plot", picture)
    (row,) = json.loads(result.stdout)["rows"]
    config = json.loads(row["config"])
    assert config["manager"] == {"interval_s": 0.5} and config["rate_per_s"] == 20 and config["keys_zone_nodes"] == 50
    assert row["stale"] > 0 and row["decisions_ok"] > 0
    assert rows.stat().st_size and picture.stat().st_size and (tmp_path / "proxy.csv").stat().st_size
    assert "answers at once" in result.stderr
    assert "answers at once" not in run(web, *words, "--quiet").stderr


def test_without_a_manager_it_is_the_replay(web):
    words = (web, "--size", "50kB", "--manager-interval", "sync", "--block", "none", "--json", "-p", "s3fifo")
    (row,) = json.loads(run(*words).stdout)["rows"]
    from evictlab.sim import replay
    from evictlab.traces import open_trace

    expected = replay(open_trace(web, cache=False), ["s3fifo"], ["50kB"]).frame["miss_ratio"][0]
    assert row["hit_ratio"] == pytest.approx(1 - expected)
    assert row["overshoot"] <= 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--origin-rtt", "trace"], "--origin-rtt 50ms"),
        (["--speed", "2", "--rate", "5/s"], "exclude"),
        (["--manager-interval", "sync", "--manager-files", "5"], "no manager"),
        (["--manager-interval", "sync", "--deadline", "5ms", "--decision-latency", "1ms"], "synchronous"),
        (["--rate", "5"], "500/s"),
        (["--block", "5obj"], "4KiB"),
        (["--size", "25"], "no unit"),
        (["--policy", "equitable"], "sync"),
        (["--policy", "lur"], "lru"),
        (["--client-rate", "5MB"], "50MB/s"),
        (["--output", "rows.xls"], ".parquet"),
    ],
)
def test_what_makes_no_sense_is_refused(web, words, says):
    assert says in run(web, *words, code=2).stderr


def test_a_trace_without_times_or_sizes(tmp_path):
    path = tmp_path / "keys.csv"
    path.write_text("key\n" + "\n".join("abacad") + "\n")
    assert "--rate 500/s" in run(path, "--size", "2obj", code=2).stderr
    assert "5000obj" in run(path, "--size", "2MB", "--rate", "5/s", code=2).stderr
    assert "2 obj" not in run(path, "--size", "9obj", "--rate", "5/s").stderr
