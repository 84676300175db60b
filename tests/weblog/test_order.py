"""One log of several files, and its requests in the order in which they arrived."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from access_logs import asked, combined, read

from evictlab.traces import open_trace, scan
from evictlab.traces.errors import FormatError, UsageError
from evictlab.traces.readers.base.source import Source
from evictlab.traces.weblog.requests.overlap import Repeated, repeated


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


def test_a_log_without_times_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "1.log").write_text('"GET /a HTTP/1.1" 200\n"GET /b HTTP/1.1" 200\n')
    (tmp_path / "2.log").write_text('"GET /c HTTP/1.1" 200\n')
    one = f"access_log:{tmp_path / '1.log'}"
    trace = open_trace(one, cache=False, format='"$request" $status')
    assert asked(trace) == ["/a", "/b"]
    assert trace.times is None
    assert trace.sizes is None
    notes = trace.provenance.account.notes
    assert "the log has no times that can be read: requests stand in the order of the file" in notes
    assert "the log says nothing about sizes" in notes
    with pytest.raises(UsageError, match=r"1\.log has no times.*open it alone"):
        open_trace([one, f"access_log:{tmp_path / '2.log'}"], cache=False, format='"$request" $status')


def test_an_empty_file_among_those_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "access.log").touch()
    (tmp_path / "access.log.1").write_text(combined((1, "GET /b HTTP/1.1", 200, 5)))
    (tmp_path / "access.log.2.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "access.log.3.gz").write_bytes(gzip.compress(combined((0, "GET /a HTTP/1.1", 200, 5)).encode()))
    trace = read(sorted(tmp_path.glob("access.log*")))
    assert asked(trace) == ["/a", "/b"]
    assert trace.provenance.account.notes[-2:] == ["access.log is empty", "access.log.2.gz is empty"]
    for names in (["access.log"], ["access.log", "access.log.2.gz"]):
        with pytest.raises(FormatError, match=r"access\.log: is empty"):
            read([tmp_path / name for name in names])


def test_an_empty_file_among_other_traces_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("key,size\n1,2\n")
    (tmp_path / "b.csv").touch()
    with pytest.raises(FormatError, match=r"b\.csv: is empty"):
        read([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_files_without_a_line_in_common_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[tuple[str, str]] = []

    def counted(earlier: Source, later: Source) -> Repeated:
        searched.append((earlier.path.name, later.path.name))
        return repeated(earlier, later)

    monkeypatch.setattr("evictlab.traces.readers.access_log.repeated", counted)
    # Ten servers that wrote at the same time, the last one's file is also there as a copy, with other line ends.
    names = [f"{server}.log" for server in range(10)]
    for server, name in enumerate(names):
        text = combined(*((server + i, f"GET /{server}/{i} HTTP/1.1", 200, 5) for i in range(20)))
        (tmp_path / name).write_text(text)
    (tmp_path / "copy.log").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    trace = read([tmp_path / name for name in (*names, "copy.log")])
    assert (trace.n_requests, trace.provenance.account.dropped.total()) == (200, 20)
    assert searched == [("9.log", "copy.log")]


def test_files_of_different_formats(tmp_path: Path) -> None:
    (tmp_path / "access.log.1").write_text(combined((0, "GET /a HTTP/1.1", 200, 5)))
    (tmp_path / "access.log").write_text('{"ts":1795600000,"scheme":"https","host":"h","uri":"/a","status":200}\n')
    trace = read([tmp_path / "access.log", tmp_path / "access.log.1"])
    assert asked(trace) == ["/a", "/a"]
    assert trace.provenance.account.notes[0].startswith("the log lacks $scheme, $proxy_host")
    assert "the log has no method: 1 of its lines count as GET" in trace.provenance.account.notes
    assert asked(read(tmp_path / "access.log")) == ["httpsh/a"]
