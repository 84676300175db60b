"""Access logs as traces: real ones against independent counts, written ones in every format."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from access_logs import asked, combined, read
from hypothesis import given
from hypothesis import strategies as st

from evictlab.sim import replay
from evictlab.traces import open_trace
from evictlab.traces.batch import LOGGED
from evictlab.traces.errors import FormatError, UnknownNameError, UsageError
from evictlab.traces.readers import open_reader
from evictlab.traces.readers.base.source import Source
from evictlab.traces.weblog.requests.arrivals import SPREAD, UNREADABLE

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
        ({"location": "/x"}, UsageError, "location=/x names a part of an nginx.conf"),
        ({"salt": ""}, UsageError, "salt= is empty, so that keys would stay readable"),
        ({"key": "$cookie_x"}, UsageError, r"the log has no \$cookie_x.*as in key=\$request_uri"),
        ({"colour": "red"}, UnknownNameError, "unknown option 'colour'. See: evictlab trace formats access_log"),
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


def test_parts_and_lengths_of_one_object(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(
        "1.5|GET /a HTTP/1.1|200|1000|1000|-\n"
        "2.5|GET /a HTTP/1.1|304|0|-|-\n"
        "3.5|GET /b HTTP/1.1|206|100|100|bytes 0-99/5000\n"
        "4.5|GET /b HTTP/1.1|206|50|50|bytes 0-49/*\n"
        "5.5|HEAD /a HTTP/1.1|200|0|1000|-\n"
    )
    options = {"format": "$msec|$request|$status|$body_bytes_sent|$sent_http_content_length|$sent_http_content_range"}
    trace = read(tmp_path / "a.log", **options)
    assert trace.sizes.tolist() == [1000, 1000, 5000, 5000, 1000]
    assert trace.known.tolist() == [True, False, True, False, True]


def test_a_path_and_its_query_in_whatever_way_a_key_has_them(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(
        combined(*((i, f"GET /a{q} HTTP/1.1", 200, 5) for i, q in enumerate(["?x", "", "?y"])))
    )
    for key in ("$uri$args", "$uri$is_args$args", "$uri?$args", "$document_uri$query_string", "$request_uri"):
        assert asked(read(tmp_path / "a.log", key=f"$host{key}")) == ["/a?x", "/a", "/a?y"], key
    assert asked(read(tmp_path / "a.log", key="$uri")) == ["/a"] * 3


def test_lines_that_name_no_object(tmp_path: Path) -> None:
    lines = [{"uri": "/a"}, {"uri": ""}, {"uri": "-"}, {"uri": None}, {"uri": {"path": "/a"}}, {}, {"uri": "/b"}]
    (tmp_path / "a.log").write_text("".join(json.dumps({"ts": 7, "status": 200, **line}) + "\n" for line in lines))
    trace = read(tmp_path / "a.log", format="json")
    assert asked(trace) == ["/a", "/b"]
    assert trace.provenance.account.dropped == {"no URL": 5}


@pytest.mark.parametrize("factor", [1, 1000, 1_000_000, 1_000_000_000])
def test_stamps_in_smaller_units_than_seconds(tmp_path: Path, factor: int) -> None:
    lines = [{"ts": (1_700_000_000 + i) * factor + factor // 2, "uri": "/a", "status": 200} for i in range(3)]
    (tmp_path / "a.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    half = 0.5 if factor > 1 else 0.0
    assert read(tmp_path / "a.log").times.tolist() == pytest.approx([1.7e9 + i + half for i in range(3)], abs=1e-3)


def test_a_named_format_makes_a_file_a_log_whatever_it_looks_like(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("no line of a log\n" * 5 + LOG)
    assert read(path, format="combined").n_requests == 4
    path.write_text("[]\n" * 5 + '{"ts":7,"uri":"/a","status":200}\n')
    assert read(path, format="json").n_requests == 1
    path.write_text("no line of a log\n")
    with pytest.raises(FormatError, match=r"has no JSON object in its first lines; it starts with 'no line of a log'"):
        read(path, format="json")
    with pytest.raises(FormatError, match=r"1 does not fit the log_format\)\. Lines were expected as combined"):
        read(path, format="combined")


def test_a_cache_status_of_another_cache_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(
        "".join(f"{i}.5|/a|200|5|{word}\n" for i, word in enumerate(["HIT", "TCP_HIT", "-", ""]))
    )
    account = read(tmp_path / "a.log", format="$msec|$request_uri|$status|$body_bytes_sent|$upstream_cache_status")
    assert account.provenance.account.repaired == {"cache status that NGINX does not have -> unknown": 1}


def test_what_to_do_where_no_line_is_a_request_to_the_cache(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(combined((0, "POST /a HTTP/1.1", 200, 5), (1, "GET /no HTTP/1.1", 404, 5)))
    with pytest.raises(
        FormatError, match=r"\(1 method POST, 1 status 404\)\. A cache sees none.*valid='any 1m'.*requests=all"
    ):
        read(tmp_path / "a.log")
    assert read(tmp_path / "a.log", methods="POST GET", valid="any 1m").n_requests == 2


@pytest.mark.parametrize("stamp", ["9" * 30, "-" + "9" * 20, "1e300", "nan"])
def test_a_time_thousands_of_years_away_is_none(tmp_path: Path, stamp: str) -> None:
    (tmp_path / "a.log").write_text(
        "".join(f'{{"ts":{t},"uri":"/a","status":200}}\n' for t in ("7.5", f'"{stamp}"', "9.5"))
    )
    trace = read(tmp_path / "a.log")
    assert trace.times.tolist() == [7.5, 7.5, 9.5]
    assert trace.provenance.account.repaired == {UNREADABLE: 1}
