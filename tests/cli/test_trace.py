"""``evictlab trace ...``: look into traces, convert, sample, generate; and ``evictlab policies``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from evictlab.policies import all_specs
from evictlab.traces import open_trace, sample_objects
from evictlab.traces.readers import FORMATS

ROOT = Path(__file__).resolve().parents[2]


def test_info_is_what_is_in_the_trace(cli, web):
    text = cli("trace", "info", web).stdout
    facts = dict(line.split(maxsplit=1) for line in text.splitlines()[1:])
    assert facts["requests"] == "200"
    assert facts["objects"] == "40, of which 0.0% are requested once"
    assert facts["unavoidable"].startswith("20.00% of the requests")
    assert facts["bytes"].startswith("4.67 KiB of objects")
    assert facts["records"] == "none dropped, none repaired of 200"
    (record,) = json.loads(cli("trace", "info", web, "--json").stdout)["traces"]
    assert (record["n_requests"], record["footprint_bytes"]) == (200, 4780)


def test_info_says_what_was_lost(cli, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("time_s,key,size,ttl\n1,a,10,5\n2,b,-3,5\n3,c,0,\n")
    text = cli("trace", "info", path).stdout
    assert "dropped 1 of 3 records: 1 negative size" in text
    assert "1 size 0 -> 1 B" in text
    ttls = json.loads(cli("trace", "info", path, "--json").stdout)["traces"][0]["ttl_quantiles_s"]
    assert (ttls["0.0"], ttls["1.0"]) == (5.0, None)  # the missing TTL never ends, and JSON has no infinity


def test_head_shows_the_first_requests(cli, web):
    lines = [line.split() for line in cli("trace", "head", web, "-n", 2).stdout.splitlines()]
    assert lines == [["time_s", "key", "size"], ["0", "1", "101"], ["1", "0", "100"]]
    rows = json.loads(cli("trace", "head", web, "-n", 1, "--json").stdout)["rows"]
    assert rows == [{"time_s": 0.0, "key": 1, "size": 101}]


@pytest.mark.parametrize("name", ["a.parquet", "a.oracleGeneral.zst", "a.csv.gz"])
def test_convert_keeps_the_requests(cli, web, tmp_path, name):
    result = cli("trace", "convert", web, "-o", tmp_path / name)
    assert result.stdout == ""
    assert result.stderr == f"evictlab: {tmp_path / name}: 200 requests, 40 objects, 4.67 KiB, 3.32 min\n"
    ours, theirs = open_trace(tmp_path / name, cache=False), open_trace(web, cache=False)
    for column in ("ids", "sizes", "times", "keys"):
        assert np.array_equal(getattr(ours, column), getattr(theirs, column))


def test_convert_joins_and_cuts(cli, web, tmp_path):
    cli("trace", "convert", web, web, "-o", tmp_path / "twice.parquet")
    assert len(open_trace(tmp_path / "twice.parquet", cache=False)) == 400
    cli("trace", "convert", web, "--from", "1min", "--to", "2min", "-o", tmp_path / "minute.parquet")
    assert len(open_trace(tmp_path / "minute.parquet", cache=False)) == 60


def test_a_trace_is_not_written_over_itself(cli, web):
    before = web.read_bytes()
    assert "is where the trace comes from" in cli("trace", "convert", web, "-o", web, code=2).stderr
    assert "in which format?" in cli("trace", "convert", web, "-o", web.with_suffix(".xyz"), code=2).stderr
    assert web.read_bytes() == before
    assert list(web.parent.iterdir()) == [web]


def test_sample_is_that_of_python(cli, web, tmp_path):
    cli("trace", "sample", "40%", web, "-o", tmp_path / "a.parquet", "--seed", 3)
    ours = open_trace(tmp_path / "a.parquet", cache=False)
    theirs = sample_objects(open_trace(web, cache=False), 0.4, seed=3)
    assert np.array_equal(ours.keys, theirs.keys)
    assert np.array_equal(ours.ids, theirs.ids)
    assert "'0.4' is not a percentage" in cli("trace", "sample", "0.4", web, "-o", "b.csv", code=2).stderr


def test_generate_writes_what_the_specification_says(cli, tmp_path):
    spec = "zipf:requests=500,objects=50,seed=4"
    cli("trace", "generate", spec, "-o", tmp_path / "a.parquet")
    assert np.array_equal(open_trace(tmp_path / "a.parquet", cache=False).ids, _generated(spec).ids)
    assert "where to? Add -o FILE" in cli("trace", "generate", spec, code=2).stderr
    listing = cli("trace", "generate").stdout
    for word in ("zipf:", "one_hit_share", "equal seeds, equal traces"):
        assert word in listing


def _generated(spec):
    from evictlab.traces.generate import generate

    return generate(spec)


def test_formats_lists_all_of_them(cli):
    text = cli("trace", "formats").stdout
    records = json.loads(cli("trace", "formats", "--json").stdout)["formats"]
    assert [record["name"] for record in records] == list(FORMATS)
    assert {record["name"] for record in records if record["written"]} == {
        "access_log",
        "csv",
        "oracle_general",
        "parquet",
    }
    for spec in FORMATS.values():
        assert f"\n{spec.name} " in text
    assert "delimiter" in cli("trace", "formats", "csv").stdout
    assert "Did you mean" in cli("trace", "formats", "cvs", code=2).stderr


def test_policies_lists_all_of_them(cli):
    text = cli("policies").stdout
    records = {record["name"]: record for record in json.loads(cli("policies", "--json").stdout)["policies"]}
    for spec in all_specs():
        (line,) = [line for line in text.splitlines() if line.split()[0] == spec.name and len(line.split()) > 4]
        assert spec.source in line  # in a pipe every line is whole, however long
        assert records[spec.name]["title"] == spec.title
        assert set(records[spec.name]["parameters"]) == set(spec.params.__dataclass_fields__)


def test_one_policy_in_full(cli):
    text = cli("policies", "S3-FIFO".replace("-", "")).stdout
    for word in ("S3-FIFO (2023)", "https://", "byte sizes", "parameter", "small", "as in --policy s3fifo:"):
        assert word in text
    own = ROOT / "experiments" / "examples" / "my_lru.py"
    assert "plug-in" in cli("policies", own).stdout
    assert "Did you mean 'sieve'" in cli("policies", "seive", code=2).stderr


@pytest.mark.parametrize("width", [60, 80])
def test_policies_on_a_terminal_fit_it(cli, monkeypatch, width):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    text = cli("policies").stdout
    assert "\x1b]8;" in text  # titles are links
    plain = re.sub(r"\x1b\]8;[^\x1b]*\x1b\\|\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= width
    assert "…" not in plain
