"""Access logs as traces: real ones against independent counts, written ones in every format and order of files."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.sim import replay
from evictlab.traces import RequestTrace, open_trace, scan
from evictlab.traces.batch import LOGGED
from evictlab.traces.errors import FormatError, UnknownNameError, UsageError
from evictlab.traces.readers import open_reader
from evictlab.traces.readers.base.source import Source
from evictlab.traces.weblog.requests.arrivals import SPREAD

REAL = ["elastic-apache_logs", "elastic-nginx_logs", "hegde-access-2005-2018"]


@pytest.mark.parametrize("name", REAL)
def test_real_logs_have_the_requests_objects_and_hits_that_others_counted(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    # The reference took every line in the order of the file, and for key the second word of the request line.
    file = f"http/{name}.log.zst"
    path = shared_data / file
    if name.startswith("hegde"):
        # In two lines another one begins, where the server was stopped. The reference took the later request.
        lines = b"".join(Source(path).chunks(1 << 24)).splitlines(keepends=True)
        assert lines[16622].count(b"GET ") == 2
        lines[16622] = lines[16622][lines[16622].index(b"65.55.105.158") :]
        path = tmp_path / f"{name}.log"
        path.write_bytes(b"".join(lines))
    trace = open_trace(path, cache=False, requests="all", order="file")
    assert trace.provenance.reader == "access_log"
    with (shared_data / "MANIFEST.csv").open() as manifest:
        row = next(row for row in csv.DictReader(manifest) if row["file"] == file)
    assert (trace.n_requests, trace.n_objects) == (int(row["requests"]), int(row["unique_objects"]))
    with (shared_data / "reference" / "unit_size_hits.csv").open() as reference:
        rows = [row for row in csv.DictReader(reference) if row["file"] == file]
    assert rows
    for policy, column in (("lru", "LRU_hits"), ("fifo", "FIFO_hits"), ("sieve", "SIEVE_hits"), ("belady", "OPT_hits")):
        expected = {int(row["cache_objects"]): int(row[column]) for row in rows}
        frame = replay(trace, policy, [f"{k}obj" for k in expected], ignore_sizes=True, threads=1).frame
        assert dict(zip(frame["capacity_objects"], frame["hits"], strict=True)) == expected, policy


@pytest.mark.parametrize("name", REAL)
def test_every_line_of_a_real_log_is_accounted_for(shared_data: Path, name: str) -> None:
    trace = open_trace(shared_data / f"http/{name}.log.zst", cache=False)
    account = trace.provenance.account
    assert account.records == trace.n_requests + sum(account.dropped.values())
    with (shared_data / "MANIFEST.csv").open() as manifest:
        note = next(row for row in csv.DictReader(manifest) if name in row["file"])["note"]
    assert f"lines {account.records}," in note
    assert account.dropped["method POST"] > 0 or "GET share 0.998" in note


def combined(*lines: tuple[Any, ...]) -> str:
    """Lines from (second of 10:00, request, status, body)."""
    return "".join(
        f'192.0.2.{i} - - [25/Nov/2026:10:{second // 60:02}:{second % 60:02} +0000] "{request}" {status} {body} "-" "UA"\n'
        for i, (second, request, status, body) in enumerate(lines)
    )


def read(path: str | Path | list[Path], **options: Any) -> RequestTrace:
    trace = open_trace(path, cache=False, **options)
    account = trace.provenance.account
    assert account.records == trace.n_requests + sum(account.dropped.values())
    return trace


def asked(trace: RequestTrace) -> list[Any]:
    return [trace.keys.tolist()[i] for i in trace.ids.tolist()]


LOG = combined(
    (0, "GET /a HTTP/1.1", 200, 100),
    (1, "GET /b?x=1 HTTP/1.1", 200, 7),
    (1, "GET /a HTTP/1.1", 304, 0),
    (2, "POST /a HTTP/1.1", 200, 5),
    (3, "GET /gone HTTP/1.1", 404, 9),
    (4, "HEAD /b?x=1 HTTP/1.1", 200, 0),
)


def test_a_combined_log(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(LOG)
    trace = read(tmp_path / "access.log")
    assert trace.provenance.reader == "access_log"
    assert asked(trace) == ["/a", "/b?x=1", "/a", "/b?x=1"]
    assert trace.sizes.tolist() == [100, 7, 100, 7]
    assert (trace.times - trace.times[0]).tolist() == [0, 1, 1.5, 4]
    account = trace.provenance.account
    assert account.dropped == {"method POST": 1, "status 404": 1}
    assert account.repaired[SPREAD] == 1
    trace = read(tmp_path / "access.log", requests="all")
    assert (trace.n_requests, trace.n_objects) == (6, 3)
    assert trace.sizes.tolist() == [100, 7, 1, 5, 9, 1]


def test_no_client_is_in_any_column_or_in_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(LOG * 3 + "192.0.2.77 - - what is this\n2001:db8::77 - - and this\n")
    trace = read(tmp_path / "a.log")
    said = json.dumps(trace.provenance.to_dict())
    assert "(address) - - what is this" in said
    assert "192.0.2" not in said
    assert "db8" not in said


def test_keys_that_name_clients_must_be_hashed(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(LOG)
    with pytest.raises(UsageError, match=r"keys would name clients, by \$remote_addr; add salt=WORD"):
        read(tmp_path / "a.log", key="$remote_addr$request_uri")
    assert read(tmp_path / "a.log", key="$remote_addr$request_uri", salt="pepper").n_objects == 4


KINDS = st.sampled_from(
    [
        combined((0, "GET /a HTTP/1.1", 200, 5)),
        combined((1, "HEAD /a HTTP/1.1", 200, 0)),
        combined((2, "POST /b HTTP/1.1", 404, "-")),
        combined((2, "-", 400, 0)),
        combined((3, "GET /c d HTTP/1.1", 304, 0)),
        "what is this\n",
        '192.0.2.9 - - [no time] "GET /a HTTP/1.1" 200 5 "-" "UA"\n',
        "\n",
        " \t\n",
        "\x16\x03\x01\x02\n",
    ]
)


@given(st.lists(KINDS, min_size=1, max_size=12), st.integers(0, 60), st.sampled_from(["cacheable", "all"]))
def test_whatever_stands_in_a_file_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], cut: int, requests: str
) -> None:
    path = tmp_path_factory.mktemp("logs") / "a.log"
    text = combined((0, "GET /a HTTP/1.1", 200, 5)) + "".join(lines)
    text = text[: max(len(text) - cut, 80)]
    path.write_text(text)
    trace = read(f"access_log:{path}", format="combined", max_bad="100%", requests=requests)
    assert trace.provenance.account.records == sum(1 for line in text.split("\n") if line.strip())


def test_a_json_log_knows_more(tmp_path: Path) -> None:
    lines = [
        {"msec": 100.5, "request_time": 0.5, "request_method": "GET", "scheme": "http", "host": "h", "request_uri": "/a",
         "status": 200, "body_bytes_sent": 10, "upstream_cache_status": "MISS", "upstream_response_time": "0.2, 0.1",
         "upstream_http_cache_control": "max-age=60", "remote_addr": "192.0.2.1"},
        {"msec": 101.0, "request_time": 0.001, "request_method": "GET", "scheme": "http", "host": "h", "request_uri": "/a",
         "status": 200, "body_bytes_sent": 10, "upstream_cache_status": "HIT", "upstream_response_time": "",
         "upstream_http_cache_control": "max-age=60", "remote_addr": "192.0.2.1"},
        {"msec": 102.0, "request_time": 0.1, "request_method": "GET", "scheme": "http", "host": "h", "request_uri": "/me",
         "status": 200, "body_bytes_sent": 10, "upstream_cache_status": "MISS", "upstream_response_time": "0.1",
         "upstream_http_cache_control": "private", "remote_addr": "192.0.2.1"},
    ]  # fmt: skip
    (tmp_path / "a.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    trace = read(tmp_path / "a.log")
    assert asked(trace) == ["httph/a"] * 2
    assert trace.times.tolist() == pytest.approx([100.0, 100.999])
    assert trace.ttls.tolist() == [60, 60]
    assert trace.costs.tolist() == pytest.approx([0.3, 0.3])
    assert [LOGGED[code] for code in trace.logged.tolist()] == ["MISS", "HIT"]
    assert trace.provenance.account.dropped == {"Cache-Control: private": 1}
    assert asked(read(tmp_path / "a.log", key="$request_uri")) == ["/a", "/a"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_rotated_log_is_one_log_in_whatever_order_it_is_named(tmp_path: Path, packed: bool) -> None:
    parts = [
        combined(*((60 * part + i, f"GET /{(part + i) % 4} HTTP/1.1", 200, 5) for i in range(9))) for part in range(3)
    ]
    (tmp_path / "all.log").write_text("".join(parts))
    whole = read(tmp_path / "all.log")
    names = (
        ["access.log.2.gz", "access.log.1.zst", "access.log"]
        if packed
        else ["access.log.2", "access.log.1", "access.log"]
    )
    for name, text in zip(names, parts, strict=True):
        data = text.encode()
        if name.endswith(".gz"):
            data = gzip.compress(data)
        if name.endswith(".zst"):
            data = pa.Codec("zstd").compress(data, asbytes=True)
        (tmp_path / name).write_bytes(data)
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        trace = read([tmp_path / names[i] for i in order])
        assert asked(trace) == asked(whole)
        assert trace.times.tolist() == whole.times.tolist()
        assert not trace.provenance.account.dropped


def test_files_that_share_lines_are_read_once(tmp_path: Path) -> None:
    lines = combined(*((i, f"GET /{i % 4} HTTP/1.1", 200, 5) for i in range(9))).splitlines(keepends=True)
    (tmp_path / "all.log").write_text("".join(lines))
    whole = asked(read(tmp_path / "all.log"))
    (tmp_path / "copy.log.1.gz").write_bytes(gzip.compress("".join(lines).encode()))
    (tmp_path / "early.log").write_text("".join(lines[:6]))
    (tmp_path / "middle.log").write_text("".join(lines[3:7]))
    (tmp_path / "late.log").write_text("".join(lines[4:]))
    for names, shared, note in (
        (["all.log", "copy.log.1.gz"], 9, "all of copy.log.1.gz: also in all.log, read once"),
        (["early.log", "all.log"], 6, "the first 6 lines of all.log: also in early.log, read once"),
        (["all.log", "middle.log"], 4, "all of middle.log: also in all.log, read once"),
        (["late.log", "early.log"], 2, "the first 2 lines of late.log: also in early.log, read once"),
    ):
        trace = read([tmp_path / name for name in names])
        assert asked(trace) == whole, names
        assert trace.provenance.account.dropped == {"line that another file has, too": shared}
        assert note in trace.provenance.account.notes
    walk = scan([tmp_path / "all.log", tmp_path / "copy.log.1.gz"])
    for _ in range(2):  # a second walk counts from the start
        assert sum(len(batch) for batch in walk.batches()) == 9
        assert walk.account.records == 18


def test_a_torn_copy_of_a_longer_file(tmp_path: Path) -> None:
    text = combined(*((i, f"GET /{i % 4} HTTP/1.1", 200, 5) for i in range(9)))
    (tmp_path / "all.log").write_text(text)
    (tmp_path / "torn.log").write_text(text[: len(text) * 5 // 9 + 40])  # five lines and a half
    for names in (["all.log", "torn.log"], ["torn.log", "all.log"]):
        trace = read([tmp_path / name for name in names])
        assert asked(trace) == asked(read(tmp_path / "all.log"))


def test_the_same_request_twice_is_no_overlap(tmp_path: Path) -> None:
    line = combined((5, "GET /a HTTP/1.1", 200, 5))
    (tmp_path / "1.log").write_text(combined((1, "GET /b HTTP/1.1", 200, 5), (6, "GET /c HTTP/1.1", 200, 5)) + line)
    (tmp_path / "2.log").write_text(line + combined((7, "GET /d HTTP/1.1", 200, 5)))
    assert asked(read([tmp_path / "1.log", tmp_path / "2.log"])) == ["/b", "/a", "/a", "/c", "/d"]


CONF = """http {
  log_format timed '$msec|$request_time|$request_method|$host|$request_uri|$status|$body_bytes_sent|$upstream_cache_status';
  log_format other '$request';
  proxy_cache_path /c keys_zone=z:1m max_size=1g;
  server {
    access_log /logs/a.log timed if=$sampled;
    location / { proxy_pass http://o; proxy_cache z; proxy_cache_key $host$request_uri; include valid.inc; }
  }
}
"""


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    pytest.importorskip("crossplane", reason="crossplane (the extra nginx) is not installed")
    (tmp_path / "nginx.conf").write_text(CONF)
    (tmp_path / "valid.inc").write_text("proxy_cache_valid 200 10m; proxy_cache_valid 404 1m;")
    (tmp_path / "a.log").write_text(
        "1.5|0.5|GET|h|/a|200|10|MISS\n2.0|0.0|GET|h|/a|200|10|HIT\n3.0|0.0|GET|h|/no|404|4|MISS\n3.5|0.0|GET|h|/r|302|4|MISS\n"
    )
    return tmp_path


def test_a_log_by_its_nginx_conf(configured: Path) -> None:
    trace = read(configured / "a.log", conf=str(configured / "nginx.conf"))
    assert asked(trace) == ["h/a", "h/a", "h/no"]
    assert trace.ttls.tolist() == [600, 600, 60]
    assert trace.times.tolist() == [1, 2, 3]
    account = trace.provenance.account
    assert account.dropped == {"status 302": 1}
    assert "the log is sampled: if=$sampled" in account.notes
    assert "the real cache answered 33.3% of these requests: MISS 2, HIT 1" in account.notes


def test_the_trace_is_another_when_its_conf_changes(configured: Path) -> None:
    def identity() -> dict[str, Any]:
        return scan(f"access_log:{configured / 'a.log'}", conf=str(configured / "nginx.conf")).identity()

    first = identity()
    assert identity() == first
    (configured / "valid.inc").write_text("proxy_cache_valid 200 20m;")
    second = identity()
    assert second != first
    (configured / "nginx.conf").write_text(CONF.replace("$host$request_uri;", "$request_uri;"))
    assert identity() != second


def test_options_of_the_user_come_before_the_conf(configured: Path) -> None:
    options = {"conf": str(configured / "nginx.conf"), "valid": "any 5s", "key": "$request_uri"}
    trace = open_trace(f"access_log:{configured / 'a.log'}", cache=False, **options)
    assert asked(trace) == ["/a", "/a", "/no", "/r"]
    assert trace.ttls.tolist() == [5] * 4


def test_a_log_format_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("7.5 GET /a 200 5\n8.5 GET /b 200 5\n")
    options = {"format": "$msec $request_method $request_uri $status $bytes_sent"}
    trace = read(tmp_path / "a.log", **options)
    assert asked(trace) == asked(open_trace(f"access_log:{tmp_path / 'a.log'}", cache=False, **options)) == ["/a", "/b"]
    assert any("includes the headers" in note for note in trace.provenance.account.notes)


def test_a_log_with_little_in_it_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("7.5 /a\n8.5 /b\n9.5 /a\n")
    trace = read(tmp_path / "a.log", format="$msec $request_uri")
    assert asked(trace) == ["/a", "/b", "/a"]
    assert trace.sizes is None
    for note in ("no method: all requests count as GET", "no status: all responses count as cacheable", "about sizes"):
        assert any(note in said for said in trace.provenance.account.notes), note


def test_variants_are_one_object_and_that_is_said(tmp_path: Path) -> None:
    lines = [
        f"1.5|GET /a HTTP/1.1|200|{size}|{vary}"
        for size, vary in ((5, "Accept-Encoding"), (3, "Accept-Encoding"), (4, "-"))
    ]
    (tmp_path / "a.log").write_text("\n".join(lines) + "\n")
    trace = read(tmp_path / "a.log", format="$msec|$request|$status|$body_bytes_sent|$sent_http_vary")
    assert trace.sizes.tolist() == [5, 5, 5]
    assert "2 responses have a Vary: variants of one key count as one object" in trace.provenance.account.notes


def test_salted_keys_and_a_salt_that_stays_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVICTLAB_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "a.log").write_text(LOG)
    plain, one, two = (
        open_trace(tmp_path / "a.log", **options) for options in ({}, {"salt": "pepper"}, {"salt": "paprika"})
    )
    assert one.ids.tolist() == plain.ids.tolist()
    assert one.keys.dtype == "uint64"
    assert one.keys.tolist() != two.keys.tolist()
    assert one.provenance.options == {"salt": "(given)"}
    for file in (tmp_path / "cache").rglob("*"):
        if file.is_file():
            assert b"pepper" not in file.read_bytes(), file
    (tmp_path / "bad.log").write_text(LOG * 5 + "GET /secret of someone\n")
    assert "secret" not in json.dumps(open_trace(tmp_path / "bad.log", salt="pepper").provenance.to_dict())


def test_the_order_within_a_second_can_be_varied(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(combined(*((3, f"GET /{i} HTTP/1.1", 200, 5) for i in range(6))))
    orders = {ties: asked(read(tmp_path / "a.log", ties=ties)) for ties in ("order", "reverse", "shuffle")}
    assert orders["order"] == orders["reverse"][::-1] == [f"/{i}" for i in range(6)]
    assert sorted(orders["shuffle"]) == orders["order"] != orders["shuffle"]
    assert asked(read(tmp_path / "a.log", ties="shuffle", tie_seed="1")) != orders["shuffle"]


def test_a_shuffled_log_is_put_in_order(tmp_path: Path) -> None:
    lines = combined(*((i, f"GET /{i} HTTP/1.1", 200, 5) for i in range(50))).splitlines(keepends=True)
    (tmp_path / "a.log").write_text("".join(lines[i * 7 % 50] for i in range(50)))
    trace = read(tmp_path / "a.log")
    assert asked(trace) == [f"/{i}" for i in range(50)]
    assert any(note.endswith("sorted by arrival") for note in trace.provenance.account.notes)


def test_the_offset_of_a_time_counts(tmp_path: Path) -> None:
    # The clock goes back from 2:59:59 +0200 to 2:00:00 +0100: one second later.
    stamps = [
        "25/Oct/2026:02:59:59 +0200",
        "25/Oct/2026:02:00:00 +0100",
        "25/Oct/2026:01:00:01 +0000",
        "25/Oct/2026:06:30:02 +0530",
    ]
    (tmp_path / "a.log").write_text("".join(f'- - - [{s}] "GET /{i} HTTP/1.1" 200 5\n' for i, s in enumerate(stamps)))
    trace = read(tmp_path / "a.log")
    assert asked(trace) == ["/0", "/1", "/2", "/3"]
    assert (trace.times - trace.times[0]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"format": "combned"}, UnknownNameError, "unknown log format 'combned'. Did you mean 'combined'"),
        ({"requests": "some"}, UnknownNameError, "unknown requests 'some'.*all, cacheable"),
        ({"ties": "random"}, UnknownNameError, "unknown ties 'random'"),
        ({"zone": "z"}, UsageError, "zone=z names a part of an nginx.conf; add conf=PATH"),
        ({"epoch": "0s"}, UsageError, "epoch=0s must be above 0"),
        ({"tie_seed": "x"}, UsageError, "tie_seed='x' is no whole number"),
        ({"valid": "500 1m"}, FormatError, "holds no request"),
        ({"key": "same"}, UsageError, "key='same' has no variable"),
        ({"format": "$remote_addr $time_local"}, FormatError, r"has no \$request.*it has \$remote_addr, \$time_local"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, options: dict[str, str], error: type[Exception], words: str
) -> None:
    (tmp_path / "a.log").write_text(LOG)
    with pytest.raises(error, match=words):
        list(open_reader(f"access_log:{tmp_path / 'a.log'}", **options).batches())


def test_a_log_without_times_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "1.log").write_text('"GET /a HTTP/1.1" 200\n"GET /b HTTP/1.1" 200\n')
    (tmp_path / "2.log").write_text('"GET /c HTTP/1.1" 200\n')
    one = f"access_log:{tmp_path / '1.log'}"
    trace = open_trace(one, cache=False, format='"$request" $status')
    assert asked(trace) == ["/a", "/b"]
    assert trace.times is None
    assert trace.sizes is None
    notes = trace.provenance.account.notes
    assert "the log has no times: requests stand in the order of the file" in notes
    assert "the log says nothing about sizes" in notes
    with pytest.raises(UsageError, match=r"1\.log has no times.*open it alone"):
        open_trace([one, f"access_log:{tmp_path / '2.log'}"], cache=False, format='"$request" $status')
