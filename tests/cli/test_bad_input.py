"""What cannot be done is said in a line that names what, where and what next; no traceback, no partial file."""

from __future__ import annotations

import json
import resource
import struct
from contextlib import contextmanager

import numpy as np
import pytest

from evictlab.sim import Result


def refusal(cli, *words, code):
    """The only line on stderr; nothing is on stdout."""
    result = cli(*words, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("evictlab: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize(
    ("options", "lesson"),
    [
        (["-p", "seive"], "unknown policy 'seive'. Did you mean 'sieve' or 'size'? See: evictlab policies"),
        (["-p", "s3fifo:smal=0.1"], "unknown parameter of s3fifo 'smal'. Did you mean 'small'?"),
        (["-p", "s3fifo:small=much"], "small='much' is not a valid float"),
        (["-p", "nothere.py"], "no policy file"),
        (["-s", "100"], "size '100' has no unit: 100obj, 100B or 100%?"),
        (["-s", "0obj"], "must be at least 1 object"),
        (["-s", "0%"], "must be above 0 %"),
        (["-s", "-5MB"], "size '-5MB'"),
        (["-s", "10G"], "unknown unit 'G'"),
        (["--ttl", "60"], "duration '60' has no unit"),
        (["--warmup", "100%"], "leaves nothing to count"),
        (["--window", "1us"], "take longer ones"),
        (["--metric", "cost"], "needs the origin time of each request"),
        (["--metric", "bytes", "-s", "10obj"], "10obj of web.csv counts objects"),
        (["--seeds", "a"], "seeds 'a': expected FIRST:LAST"),
        (["--sample", "0.1"], "'0.1' is not a percentage"),
        (["--split", "10obj"], "no number of bytes"),
        (["--split", "4KiB"], "address_bytes"),
        (["--limit", "0"], "would be empty"),
        (["--resume"], "--resume needs --output"),
        (["--reader", "key"], "not of the form NAME=VALUE"),
        (["--reader", "kee=1"], "unknown option 'kee'. Did you mean 'key'"),
        (["-o", "rows.xlsx"], "must end in .parquet, .csv or .json"),
        (["-o", "nowhere/rows.csv"], "there is no folder 'nowhere'"),
        (["--plot", "a.gif"], "must end in .png, .svg or .pdf"),
        (["--plot", "a.png", "-o", "a.csv"], "choose another name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_make_no_sense(cli, web, monkeypatch, tmp_path, options, lesson):
    monkeypatch.chdir(tmp_path)
    assert lesson in refusal(cli, "replay", web, *options, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["web.csv"]


def test_places_without_a_trace(cli, tmp_path, web):
    assert f"{tmp_path} is a folder; name its files" in refusal(cli, "replay", tmp_path, code=2)
    assert f"no file in '{tmp_path}' matches '*.nope'" in refusal(cli, "replay", tmp_path / "*.nope", code=2)
    assert "Did you mean 'web.csv'?" in refusal(cli, "replay", tmp_path / "wep.csv", code=1)
    assert "Did you mean 'zipf'?" in refusal(cli, "replay", "zpif:requests=10", code=2)
    assert "lacks objects" in refusal(cli, "replay", "zipf:requests=10", code=2)
    assert "unknown format 'cvs'. Did you mean" in refusal(cli, "replay", f"cvs:{web}", code=2)
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    assert f"{loop}: cannot be read: Too many levels of symbolic links" in refusal(cli, "replay", loop, code=1)


def test_files_that_are_no_trace(cli, tmp_path):
    junk = tmp_path / "junk.dat"
    junk.write_bytes(np.random.default_rng(0).bytes(100_000))
    message = refusal(cli, "replay", junk, code=1)
    assert str(junk) in message
    assert "in no known trace format" in message
    assert "oracle_general" in message  # the formats that it may be said to have
    assert str(junk) in refusal(cli, "replay", f"csv:{junk}", code=1)
    empty = tmp_path / "empty.csv"
    empty.touch()
    assert f"{empty}: is empty" in refusal(cli, "replay", empty, code=1)
    header = tmp_path / "header.csv"
    header.write_text("time_s,key,size\n")
    assert f"{header}: holds no request" in refusal(cli, "replay", header, code=1)


def test_a_file_with_many_bad_lines_is_refused_with_the_first_of_them(cli, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("time_s,key,size\n" + "".join(f"{i},{i},{'many' if i % 3 == 2 else 10}\n" for i in range(100)))
    message = refusal(cli, "replay", path, code=1)
    assert f"{path}, line 4: " in message
    assert "many" in message
    assert "format:path" in message


def test_a_torn_last_line_is_counted_and_told(cli, tmp_path, web):
    torn = tmp_path / "torn.csv"
    torn.write_text(web.read_text() + "200,3")
    result = cli("replay", torn, "-p", "lru", "-s", "10obj", "--json")
    document = json.loads(result.stdout)
    assert document["rows"][0]["requests"] == 200
    assert sum(document["traces"]["torn.csv"]["dropped"].values()) == 1
    assert "dropped 1 of " in result.stderr


def test_one_request_and_an_object_larger_than_the_cache(cli, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("time_s,key,size\n1,7,5000\n")
    for size, too_large in (("1KiB", 1), ("1MiB", 0)):
        (row,) = json.loads(cli("replay", path, "-p", "lru", "-s", size, "--json").stdout)["rows"]
        assert (row["requests"], row["misses"], row["too_large"]) == (1, 1, too_large)


def test_more_objects_than_can_be_numbered_are_refused(cli, tmp_path):
    path = tmp_path / "huge.lis"
    path.write_text(f"0 {2**31} 0 0\n")
    message = refusal(cli, "replay", f"arc:{path}", code=1)
    assert str(path) in message
    assert "line 1" in message


def test_truncated_compression(cli, tmp_path):
    import gzip

    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"time_s,key,size\n" + b"1,2,3\n" * 10_000)[:-20])
    assert f"{path}: damaged or cut off inside its compression" in refusal(cli, "replay", path, code=1)


def test_a_torn_last_struct(cli, tmp_path):
    record = struct.Struct("<IQIq")
    path = tmp_path / "a.oracleGeneral"
    path.write_bytes(b"".join(record.pack(i, i % 9, 10, i + 10 if i < 91 else -1) for i in range(100)) + b"torn")
    result = cli("replay", path, "-p", "lru", "-s", "3obj")
    assert "a.oracleGeneral  100 requests" in result.stdout
    assert "torn last record" in result.stderr


@contextmanager
def largest_file(n_bytes: int):
    """Let no file grow beyond a size: what a full disk looks like from inside a process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room_bytes", [300, 3000], ids=["journal", "results"])
def test_a_full_disk_leaves_no_results_and_loses_no_rows(cli, web, tmp_path, room_bytes):
    words = ("replay", web, "-p", "lru,fifo", "-s", "10obj", "--quiet")
    cli(*words)  # kernels and ids are kept from here on, so that only results are written below
    with largest_file(room_bytes):
        message = refusal(cli, *words, "-o", tmp_path / "rows.parquet", code=1)
    assert "cannot write" in message
    assert "File too large" in message
    journal = tmp_path / ".rows.parquet.journal"
    assert {path.name for path in tmp_path.iterdir()} <= {"web.csv", journal.name}
    cli(*words, "-o", tmp_path / "rows.parquet", "--resume")
    assert len(Result.read(tmp_path / "rows.parquet")) == 2
    assert not journal.exists()


def test_results_that_are_none(cli, web, tmp_path):
    assert "no results file" in refusal(cli, "report", tmp_path / "none.parquet", code=1)
    assert "is not a results file" in refusal(cli, "report", web, code=1)


def test_sweep_files_that_make_no_sense(cli, tmp_path):
    path = tmp_path / "grid.toml"
    assert "cannot read the sweep file" in refusal(cli, "sweep", path, code=2)
    path.write_text("traces = [")
    assert "is no TOML file" in refusal(cli, "sweep", path, code=2)
    path.write_text('traces = ["demo"]\npolicys = ["lru"]\nsizes = ["1%"]\n')
    message = refusal(cli, "sweep", path, code=2)
    assert "policys" in message
    assert "Known fields: traces, policies, sizes" in message
