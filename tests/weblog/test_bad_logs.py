"""Logs with what servers really write: torn lines, junk from clients, binary data; refused only when it is too much."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from evictlab.traces import open_trace
from evictlab.traces.errors import FormatError, UsageError
from evictlab.traces.readers import open_reader

LINE = '192.0.2.1 - - [25/Nov/2026:10:00:{:02} +0000] "{}" {} 5 "-" "UA"\n'
GOOD = "".join(LINE.format(i % 60, f"GET /{i % 7} HTTP/1.1", 200) for i in range(100))


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "access.log"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_torn_last_line_is_no_damage(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + LINE.format(1, "GET /torn HTTP/1.1", 200)[:60])
    trace = open_trace(path, cache=False, max_bad="0%")
    account = trace.provenance.account
    assert (trace.n_requests, account.records) == (100, 101)
    assert account.dropped == {"torn last record": 1}


def test_a_last_line_without_its_end_is_a_line(tmp_path: Path) -> None:
    assert open_trace(write(tmp_path, GOOD.rstrip("\n")), cache=False).n_requests == 100


def test_requests_that_are_none(tmp_path: Path) -> None:
    junk = ("-", "", r"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03", r"\x00\x00", "SSH-2.0-Go", r"{\x22id\x22:1}")
    path = write(tmp_path, GOOD + "".join(LINE.format(5, request, 400) for request in junk))
    account = open_trace(path, cache=False, requests="all").provenance.account
    assert account.records == 106
    assert account.dropped == {"no request line": 6}
    assert open_trace(path, cache=False).provenance.account.dropped == {"no request line": 6}


def test_binary_lines_and_a_line_of_a_megabyte(tmp_path: Path) -> None:
    long = LINE.format(7, "GET /" + "x" * (1 << 20) + " HTTP/1.1", 200)
    content = GOOD.encode() + bytes(range(1, 10)) * 20 + b"\xff\xfe\n" + long.encode() + GOOD.encode()
    account = open_trace(write(tmp_path, content), cache=False).provenance.account
    assert account.records == 202
    assert sum(account.dropped.values()) == 2
    assert sum(note.startswith("line 101: ") for note in account.notes) == 1
    assert all(len(note) < 500 for note in account.notes)


def test_a_log_that_was_truncated_while_it_was_written(tmp_path: Path) -> None:
    # The server goes on at its old position, and the file system fills the hole with zeros.
    trace = open_trace(write(tmp_path, bytes(5000) + GOOD.encode()), cache=False)
    account = trace.provenance.account
    assert account.records == 100
    assert trace.n_requests + sum(account.dropped.values()) == 100
    assert trace.n_requests >= 99


def test_bytes_that_are_no_text_in_a_path_are_a_key(tmp_path: Path) -> None:
    content = GOOD.encode() + LINE.format(1, "GET /@ HTTP/1.1", 200).encode().replace(b"@", b"\xe4\xff")
    assert "/\\xe4\\xff" in open_trace(write(tmp_path, content), cache=False).keys.to_pylist()


def test_too_much_damage_is_refused_with_examples_and_advice(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "".join(f"what is {i}\n" for i in range(11)))
    with pytest.raises(FormatError) as caught:
        open_trace(path, cache=False)
    said = str(caught.value)
    assert "line 101: 11 of 111 records are no access_log records, such as 'what is 0'" in said
    assert "line 102: 'what is 1'" in said
    assert "format='...'" in said
    assert "max_bad=10% (now 1%)" in said
    trace = open_trace(path, cache=False, max_bad="10%")
    assert trace.n_requests == 100
    assert sum(trace.provenance.account.dropped.values()) == 11


def test_one_bad_line_is_too_many_if_the_user_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "what is this\n" + GOOD)
    assert open_trace(path, cache=False).n_requests == 200
    with pytest.raises(FormatError, match=r"1 of 201 records.*max_bad=0\.5% \(now 0%\)"):
        open_trace(path, cache=False, max_bad="0%")
    for text in ("5", "x%", "101%", "-1%"):
        with pytest.raises(UsageError, match=f"max_bad='{text}' is no percentage"):
            open_reader(path, max_bad=text)


def test_every_format_takes_max_bad(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("time,key,size\n" + "1,2,3\n" * 30 + "1,2,many\n" * 15)
    with pytest.raises(FormatError, match="15 of 45 records"):
        list(open_reader(path).batches())
    assert sum(len(batch) for batch in open_reader(path, max_bad="40%").batches()) == 30


def test_a_log_of_nothing_but_errors(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(LINE.format(i, "GET /no HTTP/1.1", 404) for i in range(20)))
    with pytest.raises(FormatError, match=r"holds no request \(20 status 404\)"):
        open_trace(path, cache=False)


def test_of_many_reasons_the_most_frequent_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(LINE.format(i % 60, "GET /no HTTP/1.1", 400 + max(i, 20)) for i in range(60)))
    with pytest.raises(FormatError, match=r"holds no request \(21 status 420, 1 status 421, .*, and 32 more reasons\)"):
        open_trace(path, cache=False)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"pipe is no file: a trace is read more than once"):
        open_trace(tmp_path / "pipe", cache=False)


def test_a_log_cut_off_inside_its_compression(tmp_path: Path) -> None:
    packed = gzip.compress(
        ("".join(LINE.format(i % 60, f"GET /{i * 7919} HTTP/1.1", 200) for i in range(20_000))).encode()
    )
    path = write(tmp_path, packed[: len(packed) // 2])
    with pytest.raises(FormatError, match="cut off inside its compression"):
        open_trace(path, cache=False)


def test_a_file_in_the_wrong_format_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(FormatError, match="records are no access_log records"):
        open_trace(path, cache=False, format="$msec|$request|$status")


def test_windows_line_ends_and_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("\n", "\r\n\r\n"))
    trace = open_trace(path, cache=False)
    assert (trace.n_requests, trace.provenance.account.records) == (100, 100)
