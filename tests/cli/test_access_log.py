"""From access logs to a verdict on the command line: rotated files, nginx.conf, lines that are none, ties."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from evictlab.experiments.rotated import join_rotated
from evictlab.sim import Result

CONF = """
events {}
http {
  log_format timed '$msec $request_time "$request" $status $body_bytes_sent $upstream_cache_status';
  proxy_cache_path /tmp/cache keys_zone=web:1m max_size=20k inactive=5m manager_files=7;
  server {
    listen 127.0.0.1:8080;
    access_log logs/access.log timed;
    location / {
      proxy_pass http://origin.example;
      proxy_cache web;
      proxy_cache_key $request_uri;
      proxy_cache_valid 200 10m;
      proxy_cache_min_uses 2;
      proxy_cache_lock on;
    }
  }
}
"""


def line(
    second: float, uri: str, size: int = 1000, status: int = 200, method: str = "GET", answer: str = "MISS"
) -> str:
    return f'{second:.3f} 0.010 "{method} {uri} HTTP/1.1" {status} {size} {answer}\n'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Three days of a site: the newest log plain, the others rotated, one of them compressed."""
    days = [[line(86_400 * day + 60 * i, f"/{(i // 2 * 7 + day) % 30}") for i in range(100)] for day in (1, 2, 3)]
    days[0].append(line(86_400 * 1.5, "/login", method="POST"))
    days[1].append("\x16\x03\x01 no request at all\n")
    (tmp_path / "access.log").write_text("".join(days[2]))
    (tmp_path / "access.log.1").write_text("".join(days[1]))
    (tmp_path / "access.log.2.gz").write_bytes(gzip.compress("".join(days[0]).encode()))
    (tmp_path / "nginx.conf").write_text(CONF)
    return tmp_path


def test_rotated_logs_are_one_trace(cli, site):
    files = sorted(site.glob("access.log*"))
    result = cli(
        "replay", *files, "--nginx-conf", site / "nginx.conf", "--policy", "lru,gdsf,s3fifo,sieve", "--size", "10kB"
    )
    assert "access.log  300 requests, 30 objects" in result.stdout  # in the order of their contents
    assert "dropped 2 of 302 records" in result.stderr
    assert "1 method POST" in result.stderr
    assert [row.split()[0] for row in result.stdout.splitlines()[-4:]] == ["lru", "gdsf", "s3fifo", "sieve"]
    backwards = cli(
        "replay", *files[::-1], "--nginx-conf", site / "nginx.conf", "--size", "10kB", "--policy", "lru", "--json"
    )
    row = json.loads(backwards.stdout)["rows"][0]
    assert row["requests"] == 300
    forwards = cli("replay", *files, "--nginx-conf", site / "nginx.conf", "--size", "10kB", "--policy", "lru", "--json")
    assert json.loads(forwards.stdout)["rows"][0]["misses"] == row["misses"]


def test_the_proxy_is_set_up_as_nginx_conf_says(cli, site):
    words = ("proxy", site / "access.log", "--nginx-conf", site / "nginx.conf", "--json")
    (run,) = json.loads(cli(*words).stdout)["rows"]
    assert run["capacity_bytes"] == 20 * 1024
    config = json.loads(run["config"])
    assert (config["min_uses"], config["lock"], config["inactive_s"], config["ttl"]) == (2, True, 300.0, "trace")
    assert config["manager"] == {"files": 7}
    (other,) = json.loads(cli(*words, "--size", "50kB", "--min-uses", 1, "--manager-files", 9).stdout)["rows"]
    assert other["capacity_bytes"] == 50_000  # the command line is stronger
    assert other["hit_ratio"] > run["hit_ratio"]


def test_how_many_bad_lines_are_let_pass(cli, site):
    log = site / "access.log"
    log.write_text("no line of a log\n" * 20 + log.read_text())
    said = cli("replay", log, "--nginx-conf", site / "nginx.conf", code=1).stderr
    assert "20 of 120 records" in said
    assert "no line of a log" in said
    assert "max_bad" in said
    assert "100 requests" in cli("replay", log, "--nginx-conf", site / "nginx.conf", "--max-bad", "20%").stdout


def test_a_conf_that_cannot_be_read(cli, site):
    (site / "broken.conf").write_text("http {\n  include gone.conf;\n")
    assert "broken.conf" in cli("replay", site / "access.log", "--nginx-conf", site / "broken.conf", code=1).stderr
    said = cli("proxy", site / "access.log", "--nginx-conf", site / "none.conf", code=1).stderr
    assert "none.conf" in said


def test_the_order_within_a_second_is_weighed(cli, tmp_path):
    log = tmp_path / "site.log"
    text = '- - - [17/May/2015:10:05:{:02d} +0000] "GET /{} HTTP/1.1" 200 1000 "-" "-"\n'
    log.write_text("".join(text.format(i // 4, (i * i) % 23) for i in range(200)))
    said = cli("replay", log, "--policy", "lru", "--size", "5kB").stderr
    assert re.search(r"100% of the requests share their second with others; .* differs by up to \d+\.\d\d points", said)
    assert "share their second" not in cli("replay", log, "--policy", "lru", "--size", "5kB", "--quiet").stderr


def test_what_belongs_together(tmp_path):
    log = '- - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1000 "-" "-"\n'
    for name in ("a.log", "a.log.1", "a.log-20260101.gz", "b.log.2", "c.csv", "c.csv.1"):
        data = log if ".log" in name else "key,size\n1,5\n"
        (tmp_path / name).write_bytes(gzip.compress(data.encode()) if name.endswith("gz") else data.encode())
    named = [f"{tmp_path}/{name}" for name in ("c.csv", "a.log.1", "b.log.2", "a.log", "a.log-20260101.gz", "c.csv.1")]
    joined = join_rotated([*named, "zipf:requests=5,objects=2,alpha=0.9", "zipf:requests=5,objects=2,alpha=0.8"])
    short = {name.removeprefix(f"{tmp_path}/"): len(files) for name, files in joined.items()}
    assert short == {
        "c.csv": 1,
        "a.log": 3,
        "b.log.2": 1,
        "c.csv.1": 1,
        "zipf:requests=5,objects=2,alpha=0.9": 1,
        "zipf:requests=5,objects=2,alpha=0.8": 1,
    }


def test_empty_files_of_a_rotated_log_are_said(cli, site):
    (site / "access.log").rename(site / "access.log.0")
    (site / "access.log").touch()  # rotated just now
    (site / "access.log.3.gz").write_bytes(gzip.compress(b""))
    words = ("--nginx-conf", site / "nginx.conf", "--policy", "lru", "--size", "10kB")
    result = cli("replay", site / "access.log*", *words)
    assert "access.log  300 requests, 30 objects" in result.stdout
    assert "access.log.3.gz is empty" in result.stderr
    assert "300 requests" in cli("replay", *sorted(site.glob("access.log*")), *words).stdout


@pytest.mark.parametrize("known", [True, False])
def test_rotated_logs_that_only_their_contents_or_their_format_tell(cli, tmp_path, known):
    line = '- - - [17/May/2015:10:05:{:02d} +0000] "GET /{} HTTP/1.1" 200 1000 "-" "-"\n'
    if not known:
        line = "2015-05-17T10:05:{:02d}Z /{}\n"
    (tmp_path / "a.log").touch()
    for number in (1, 2, 3):
        (tmp_path / f"a.log.{number}").write_text("".join(line.format(9 * number + i, i) for i in range(9)))
    words = () if known else ("--reader", "format=$time_iso8601 $request_uri")
    result = cli("replay", *sorted(tmp_path.glob("a.log*")), *words, "--policy", "lru", "--size", "50%")
    assert "a.log  27 requests, 9 objects" in result.stdout


def test_a_sweep_of_logs_takes_options_of_their_reader(cli, site, monkeypatch):
    (site / "grid.toml").write_text(
        'traces = ["access.log*"]\npolicies = ["lru"]\nsizes = ["10kB"]\nttl = "trace"\n'
        'reader = {conf = "nginx.conf", max_bad = "5%"}\n'
    )
    monkeypatch.chdir("/")  # paths are relative to the sweep file
    (row,) = json.loads(cli("sweep", site / "grid.toml", "--json").stdout)["rows"]
    assert (row["trace"], row["requests"]) == ("access.log", 300)
    direct = cli(
        "replay",
        site / "access.log*",
        "--nginx-conf",
        site / "nginx.conf",
        "-p",
        "lru",
        "-s",
        "10kB",
        "--ttl",
        "trace",
        "--json",
    )
    assert json.loads(direct.stdout)["rows"][0]["misses"] == row["misses"]
    (site / "grid.toml").write_text(
        'traces = ["access.log"]\npolicies = ["lru"]\nsizes = ["1%"]\nreader = {conf = "nginx.conf", colour = "red"}\n'
    )
    assert "unknown option 'colour'" in cli("sweep", site / "grid.toml", code=2).stderr


def test_rows_of_an_older_conf_are_not_taken_up_again(cli, site):
    words = (
        "replay",
        site / "access.log",
        "--nginx-conf",
        site / "nginx.conf",
        "-p",
        "lru",
        "-s",
        "1MB",
        "--ttl",
        "trace",
    )

    def misses():
        cli(*words, "--output", site / "rows.parquet", "--resume")
        return json.loads(cli(*words, "--json").stdout)["rows"][0]["misses"], len(Result.read(site / "rows.parquet"))

    first, _ = misses()
    (site / "nginx.conf").write_text(CONF.replace("200 10m", "200 1s"))
    second, rows = misses()
    assert second > first
    assert Result.read(site / "rows.parquet").frame["misses"].tolist() == [second]
    assert rows == 1


def test_of_several_caches_the_log_that_is_read_says_which(cli, site):
    other = "location /x { proxy_pass http://o; proxy_cache web; access_log logs/x.log timed; }"
    (site / "nginx.conf").write_text(CONF.replace("    location / {", f"    {other}\n    location / {{"))
    words = ("--nginx-conf", site / "nginx.conf")
    assert "100 requests" in cli("replay", site / "access.log", *words).stdout
    (run,) = json.loads(cli("proxy", site / "access.log", *words, "--json").stdout)["rows"]
    assert json.loads(run["config"])["min_uses"] == 2
    (site / "access.log").rename(site / "else.log")
    said = cli("replay", site / "else.log", *words, code=2).stderr
    assert "zone web in location /x" in said
    assert "location=PATTERN" in said
    for command in ("replay", "proxy"):
        cli(command, site / "else.log", *words, "--reader", "location=/")


def test_generated_traces_have_no_reader(cli, site):
    said = cli("replay", "demo", "--nginx-conf", site / "nginx.conf", code=2).stderr
    assert "is generated, not read: it takes no --reader, --nginx-conf or --max-bad" in said
