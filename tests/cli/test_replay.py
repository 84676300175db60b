"""``evictlab replay``: what it prints and writes."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from evictlab.sim import Result, replay
from evictlab.sim.result import COLUMNS

RATIO = {"lru": "50.50", "fifo": "55.00"}
"""Misses of `web` in 10 objects, percent. The 39 other objects come in turn and never hit: 100 misses. LRU keeps the
object of every second request: 1 miss. FIFO throws it out each time that nine others have come: 10 misses."""


def lines_of(text: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in text.splitlines()]


def test_story_of_a_first_replay(cli, web):
    result = cli("replay", web, "--policy", "lru,fifo", "--size", "10obj,25%", "--ignore-sizes")
    words = lines_of(result.stdout)
    assert words[0] == ["web.csv", "200", "requests,", "40", "objects,", "4.67", "KiB,", "3.32", "min"]
    assert words[1] == ["miss", "ratio,", "%", "of", "requests"]
    assert words[2] == ["policy", "10obj", "25%", "Mreq/s"]
    assert words[3] == ["10", "obj"]  # a quarter of the objects; the other size says itself what it is
    table = {line[0]: line[1:3] for line in words[4:]}
    assert table == {"lru": [RATIO["lru"]] * 2, "fifo": [RATIO["fifo"]] * 2}
    assert result.stderr == ""  # nothing to note about the trace, no progress bar in a pipe
    assert "\x1b" not in result.stdout


def test_the_table_shows_what_python_gets(cli, web):
    frame = replay(str(web), "lru,sieve", "1KiB,30%").frame
    words = lines_of(
        cli("replay", web, "--policy", "lru", "-p", "sieve", "-s", "1KiB", "-s", "30%", "-m", "bytes").stdout
    )
    shown = {line[0]: line[1:3] for line in words[4:]}
    for policy, rows in frame.groupby("policy"):
        assert shown[policy] == [f"{100 * ratio:.2f}" for ratio in rows["byte_miss_ratio"]]
    assert words[1] == ["miss", "ratio,", "%", "of", "bytes"]
    assert words[3] == ["1.4", "KiB"]


def test_json_is_the_table_and_nothing_else(cli, web):
    document = json.loads(cli("replay", web, "-p", "lru", "-s", "10obj", "--window", "50req", "--json").stdout)
    assert document["schema"] == 1
    (row,) = document["rows"]
    assert set(row) == set(COLUMNS) - {"window", "window_start_s"}
    assert (row["policy"], row["capacity_objects"], row["capacity_bytes"]) == ("lru", 10, None)
    assert f"{100 * row['miss_ratio']:.2f}" == RATIO["lru"]
    assert [part["window"] for part in document["windows"]] == [0, 1, 2, 3]
    assert sum(part["misses"] for part in document["windows"]) == row["misses"]
    assert document["traces"]["web.csv"]["records"] == 200


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json"])
def test_output_holds_rows_and_windows(cli, web, tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    cli("replay", web, "-p", "lru,fifo", "-s", "10obj", "--window", "1min", "--output", path)
    if suffix == ".parquet":
        result = Result.read(path)
        frame = pd.concat([result.frame, result.windows])
    elif suffix == ".csv":
        frame = pd.read_csv(path)
        assert list(frame.columns) == list(COLUMNS)
    else:
        document = json.loads(path.read_text())
        frame = pd.DataFrame(document["rows"] + document["windows"])
    assert len(frame) == 2 + 2 * 4
    assert frame["requests"].sum() == 2 * 2 * 200
    assert {file.name for file in tmp_path.iterdir()} == {"web.csv", path.name}


def test_a_picture_has_its_data_beside_it(cli, web, tmp_path):
    cli("replay", web, "-p", "lru,fifo", "-s", "10obj,20obj", "--plot", tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().lstrip().startswith("<?xml")
    assert len(pd.read_csv(tmp_path / "a.csv")) == 4
    cli("replay", web, "-p", "lru", "-s", "10obj", "--window", "1min", "--plot", tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    assert pd.read_csv(tmp_path / "b.csv")["window"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_wide_table_is_folded_by_columns(cli, web, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    sizes = [f"{i}%" for i in range(10, 100, 5)]
    text = cli("replay", web, "-p", "lru,fifo,prob:prob=0.25+lru", "-s", ",".join(sizes)).stdout
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"…|\.\.\.", text)
    assert [word for line in lines_of(text) for word in line if word in sizes] == sizes
    assert sum(line.startswith("lru ") for line in text.splitlines()) > 1


def test_the_best_is_bold_on_a_terminal_only_and_no_oracle_wins(cli, web, monkeypatch):
    words = ("replay", web, "-p", "fifo,belady,lru", "-s", "10obj", "--ignore-sizes")
    assert "\x1b" not in cli(*words).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    bold = re.findall(r"\x1b\[1m([^\x1b]+)\x1b", cli(*words).stdout)
    assert [text.strip() for text in bold] == ["web.csv", RATIO["lru"]]


def test_several_seeds_give_a_mean_and_a_deviation(cli, web):
    text = cli("replay", web, "-p", "random,lru", "-s", "10obj", "--seeds", "0:3", "--ignore-sizes").stdout
    assert re.search(r"^random +\d\d\.\d\d ±\d\.\d\d ", text, re.MULTILINE)
    assert re.search(rf"^lru +{RATIO['lru']}   ", text, re.MULTILINE)
    one = json.loads(cli("replay", web, "-p", "random", "-s", "10obj", "--seed", "5", "--json").stdout)
    assert [row["seed"] for row in one["rows"]] == [5]


def test_windows_are_a_line_of_bars_per_policy(cli, web, monkeypatch):
    text = cli("replay", web, "-p", "lru,fifo", "-s", "10obj", "--window", "20s", "--ignore-sizes").stdout
    assert "web.csv at 10obj, 10 windows of 20s\n" in text
    (course,) = re.findall(r"^lru +\S+ +\S+ +\S+  (\S+)$", text, re.MULTILINE)
    assert len(course) == 10
    assert set(course) <= set("▁▂▃▄▅▆▇█")
    monkeypatch.setenv("COLUMNS", "45")
    text = cli("replay", web, "-p", "lru", "-s", "10obj", "--window", "1s", "--ignore-sizes").stdout
    assert "200 windows of 1s, 20 to a bar" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 45


def test_parts_of_a_trace(cli, web):
    def requests(*words):
        document = json.loads(cli("replay", web, "-p", "lru", "-s", "10obj", "--json", *words).stdout)
        return document["rows"][0]["requests"]

    assert requests("--limit", 50) == 50
    assert requests("--from", "1min", "--to", "90s") == 30
    assert requests("--warmup", "25%") == 150
    assert requests("--warmup", "1min") == 140
    assert 0 < requests("--sample", "50%") < 200


def test_ttl(cli, web):
    def expired(*words):
        document = json.loads(cli("replay", web, "-p", "lru", "-s", "40obj", "--json", *words).stdout)
        return document["rows"][0]["expired"]

    assert expired() == 0
    assert expired("--ttl", "30s") > 0
    told = cli("replay", web, "-p", "lru", "-s", "40obj", "--ttl", "trace").stderr
    assert told == "evictlab: web.csv states no TTLs: nothing expires\n"


def test_absolute_sizes_of_a_sample_are_remarked_on(cli, web):
    words = ("replay", web, "-p", "lru", "--sample", "50%")
    assert "nothing is scaled by 50%" in cli(*words, "-s", "10obj").stderr
    assert cli(*words, "-s", "10%").stderr == ""
    assert cli(*words, "-s", "10obj", "--quiet").stderr == ""


def test_several_sources_are_separate_traces_or_one_stream(cli, web, tmp_path):
    (tmp_path / "day").mkdir()
    again = tmp_path / "day" / "web.csv"
    again.write_text(web.read_text())
    other = tmp_path / "other.csv"
    other.write_text(web.read_text())

    def names(*words):
        document = json.loads(cli("replay", *words, "-p", "lru", "-s", "10obj", "--json").stdout)
        return {row["trace"]: row["requests"] for row in document["rows"]}

    assert names(web, other) == {"web.csv": 200, "other.csv": 200}
    assert names(web, again) == {str(web): 200, str(again): 200}  # the same name twice would mix them up
    assert names(tmp_path / "*.csv", web) == {"other.csv": 200, "web.csv": 200}
    assert names(f"csv:{web}") == {"web.csv": 200}
    assert names(web, other, "--concat") == {"web.csv + 1 more": 400}
    assert names("zipf:requests=300,objects=30,seed=2", "--limit", 100) == {"zipf:requests=300,objects=30,seed=2": 100}


def test_reader_options(cli, web):
    document = json.loads(
        cli("replay", web, "-p", "lru", "-s", "1obj", "--reader", "key=size", "--reader", "size=none", "--json").stdout
    )
    assert document["rows"][0]["bytes"] is None


def test_lost_and_mended_records_are_told_on_stderr(cli, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("time_s,key,size\n1,a,10\n5,b,-3\n4,c,0\n3,a,10\n")
    result = cli("replay", path, "-p", "lru", "-s", "2obj")
    assert "evictlab: bad.csv: dropped 1 of 4 records: 1 negative size\n" in result.stderr
    assert "repaired 2 values: " in result.stderr
    assert "1 size 0 -> 1 B" in result.stderr
    assert "time went backwards" in result.stderr
    assert cli("replay", path, "-p", "lru", "-s", "2obj", "--quiet").stderr == ""


def test_the_demo_runs_without_any_option_even_beside_a_folder_of_that_name(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    result = cli("replay", "demo")
    assert lines_of(result.stdout)[2] == ["policy", "0.1%", "1%", "10%", "Mreq/s"]
    assert [line[0] for line in lines_of(result.stdout)[4:]] == ["lru", "sieve", "s3fifo"]


def test_what_is_named_twice_is_replayed_once(cli, web):
    document = json.loads(cli("replay", web, web, "-p", "lru,LRU,lru", "-s", "10obj,10obj", "--json").stdout)
    assert len(document["rows"]) == 1
