"""The compiled scanner against regular expressions: real logs, made lines, and any bytes at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from naive_log import Twin, local_time, request, seconds, undo

from evictlab.traces.readers.base.source import Source
from evictlab.traces.weblog.fields import Fields, scan
from evictlab.traces.weblog.log_format import BUILTIN, json_log_format, parse_log_format

TSV = r"$remote_addr\t$remote_user\t$msec\t$request_method\t$uri\t$status\t$body_bytes_sent\t$http_referer\t$http_user_agent"
LOGS = {
    "elastic-apache_logs.log.zst": ("combined", 9_999, 1),
    "elastic-nginx_logs.log.zst": ("combined", 51_462, 0),
    "hegde-access-2005-2018.log.zst": ("combined", 105_177, 0),
    "nasa_19950801.tsv.zst": (TSV, 30_969, 1),  # the line with the names
}


def agrees(fields: Fields, template: str, block: bytes, escape: str = "default") -> None:
    """Every line, every variable, as bytes; `fields` must be of `block`, without carriage returns."""
    twin = Twin(BUILTIN.get(template, template).replace("\\t", "\t"), escape)
    found = {i: twin.line(line) for i, line in enumerate(block.split(b"\n"), 1) if line.strip(b" \t\r")}
    good = {i: values for i, values in found.items() if values is not None}
    assert fields.lines.tolist() == list(good)
    assert fields.records == len(found)
    assert sum(fields.bad.values()) == len(found) - len(good)
    rows = list(good.values())
    for name in dict.fromkeys(twin.names):
        assert fields.texts(f"${name}").to_pylist() == [undo(row[name], escape) for row in rows], name
    if "request" in twin.names and "request_uri" not in twin.names:
        parts = [request(row["request"]) for row in rows]
        texts = fields.texts("$request_method", "\t", "$request_uri", "\t", "$server_protocol")
        assert texts.to_pylist() == [undo(b"\t".join(part), escape) for part in parts]


@pytest.mark.parametrize("file", LOGS)
def test_every_line_of_real_logs(shared_data: Path, file: str):
    template, good, bad = LOGS[file]
    total, lost = 0, 0
    for first, block in Source(shared_data / "http" / file).blocks():
        fields = scan(parse_log_format(template), block, first)
        total, lost = total + len(fields), lost + fields.bad.total()
        fields.lines -= first - 1
        agrees(fields, template, block)
        assert not np.isnan(fields.stamps()[0]).any()
        if template == "combined":
            texts = fields.texts("$time_local").to_pylist()
            expected = {text: local_time(text) for text in texts[::7]}
            assert fields.stamps()[0][::7].tolist() == [expected[text] for text in texts[::7]]
            methods = fields.words("request_method")
            assert [methods.texts[c] for c in methods.codes] == fields.texts("$request_method").to_pylist()
    assert (total, lost) == (good, bad)


CHARACTERS = [
    "a",
    "/",
    " ",
    '"',
    "\\",
    '\\"',
    "\\x22",
    "[",
    "]",
    ":",
    "-",
    "::1",
    "0",
    ".",
    "é",
    "\t",
    '" "',
    "HTTP/1.1",
]
value = st.lists(st.sampled_from(CHARACTERS), max_size=6).map("".join)
number = st.sampled_from(["200", "0", "-", "", "12.5", "x", "1431857103.123"])
TEMPLATES = [
    BUILTIN["combined"],
    '$msec "$request" $status "$http_referer" "$http_user_agent" rt=$request_time',
    '"$request_uri" "$http_user_agent"',
    "[$time_local] $host$request_uri $status$body_bytes_sent $msec$pipe",
    "$a - $b",
    '"$a"',
    "$a",
    '<$a> "$b" $a "$c"$status',
]


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, str]:
    """A template and a line that was written by it, or nearly."""
    template = draw(st.sampled_from(TEMPLATES))
    pieces = Twin(template)
    line = pieces.literals[0].decode()
    for name, literal in zip(pieces.names, pieces.literals[1:], strict=True):
        numeric = name in ("status", "body_bytes_sent", "msec", "request_time")
        line += draw(st.one_of(number, value) if numeric else value) + literal.decode()
    return template, line


@given(lines(), st.sampled_from(["default", "json", "none"]))
@settings(max_examples=500)
def test_made_lines(made: tuple[str, str], escape: str):
    template, line = made
    block = line.encode() + b"\n"
    agrees(scan(parse_log_format(template, escape=escape), block), template, block, escape)


@given(lines(), st.lists(st.tuples(st.integers(0, 80), st.binary(max_size=3), st.integers(0, 3)), max_size=4))
@settings(max_examples=300)
def test_damaged_lines(made: tuple[str, str], damage: list[tuple[int, bytes, int]]):
    template, text = made
    block = text.encode()
    for at, new, old in damage:
        block = block[:at] + new + block[at + old :]
    block = block.replace(b"\r", b"")
    agrees(scan(parse_log_format(template), block), template, block)


@given(st.text("0123456789.,:- x", max_size=20))
def test_lists_of_seconds(text: str):
    found = scan(parse_log_format("|$t|"), f"|{text}|\n".encode()).seconds("t")
    try:
        expected = seconds(text)
    except ValueError:
        expected = None
    assert np.isnan(found[0]) if expected is None else found[0] == pytest.approx(expected, rel=1e-14)


def ask_everything(block: bytes) -> None:
    """Every question to a block of any bytes, by every format."""
    formats = [parse_log_format(template) for template in TEMPLATES]
    formats += [json_log_format(["a", "b"]), parse_log_format('{"a":"$a|$b","s":$status}', escape="json")]
    for log_format in formats:
        fields = scan(log_format, block)
        assert fields.records == len(fields) + fields.bad.total()
        for name in log_format.variables:
            for column in (fields.integers(name), fields.reals(name), fields.seconds(name), fields.words(name).codes):
                assert len(column) == len(fields)
            assert len(fields.texts(f"${name}")) == len(fields.hashes(f"${name}", salt=3)) == len(fields)
        assert len(fields.stamps()[0]) == len(fields)
        if fields.has("request"):
            fields.texts("$request_method", "$request_uri", "$server_protocol")


SEEDS = [
    b'1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "\\x16"',
    b'{"a":"\\ud83d|x","s":1}',
    b'{\\"[\\u',
]


@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(SEEDS)), max_size=6), st.binary(max_size=2))
@settings(max_examples=100)
def test_any_bytes_are_survived(pieces: list[bytes], between: bytes):
    ask_everything(between.join(pieces))


WITH_CHECKS = """
import random, sys
from {module} import SEEDS, ask_everything
rng = random.Random(0)
for _ in range({rounds}):
    block = bytearray(rng.choice([b"\\n", b"\\r\\n", b""]).join(rng.choices(SEEDS, k=rng.randrange(4))))
    for _ in range(rng.randrange(4)):
        if block:
            block[rng.randrange(len(block))] = rng.choice(b'\\\\"\\n {{}}[]:,/u-0')
    ask_everything(bytes(block[: rng.randrange(len(block) + 1)]))
"""


@pytest.mark.slow
def test_no_read_beyond_the_block():
    """The kernels once more, compiled with a check of every index, in a process and a cache of their own."""
    code = WITH_CHECKS.format(module=Path(__file__).stem, rounds=300)
    checked = str(Path(os.environ["EVICTLAB_CACHE_DIR"]) / "checked")
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "1", "EVICTLAB_CACHE_DIR": checked}
    environment["PYTHONPATH"] = os.pathsep.join(str(folder) for folder in Path(__file__).parents[:2])
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
