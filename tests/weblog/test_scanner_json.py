"""JSON access logs: any order of keys, what NGINX writes beside the standard, and the same as `json` where that reads it."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings
from naive_log import json_line, undo

from evictlab.traces.weblog.fields import Fields, scan
from evictlab.traces.weblog.log_format import json_log_format, parse_log_format

TEMPLATE = '{"t":"$msec","s":$status,"u":"$scheme://$host$request_uri","rt":$upstream_response_time}'
KEYS = ("a", "b", "uri", "status")


def logged(*lines: bytes, template: str = TEMPLATE) -> Fields:
    return scan(parse_log_format(template, escape="json"), b"\n".join(lines) + b"\n")


def test_five_lines():
    fields = logged(
        b'{"t":"1431857103.250","s":200,"u":"https://a.org/x?y=1","rt":0.004}',
        b' { "u" : "http://b.org/" , "extra" : {"s":[1,"}",{}]}, "s" : 404, "t" : null, "rt": 0.001, 0.002 }\r',
        b"",
        b'{"s":304,"s":200,"rt":}',  # the last of a key counts; a variable may have been empty
        b'{"s":200',
    )
    assert fields.lines.tolist() == [1, 2, 4]
    assert fields.bad == {"does not fit the log_format": 1}
    assert fields.integers("status").tolist() == [200, 404, 200]
    assert fields.texts("$scheme|$host|$request_uri").to_pylist() == ["https|a.org|/x?y=1", "http|b.org|/", "||"]
    np.testing.assert_array_equal(fields.stamps()[0], [1431857103.25, np.nan, np.nan])
    np.testing.assert_allclose(fields.seconds("upstream_response_time"), [0.004, 0.003, np.nan])


def test_escapes_of_json():
    line = rb'{"u":"\u00e9\/\"\\\n\ud83d\ude00 \x41 \q \ud800"}'
    assert logged(line, template='{"u":"$uri"}').texts("$uri").to_pylist() == ['é/"\\\n😀 A \\q \\xed\\xa0\\x80']


def test_the_request_line_of_json():
    fields = logged(rb'{"r":"GET \/a HTTP/1.1"}', b'{"r":""}', template='{"r":"$request"}')
    assert fields.texts("$request_uri").to_pylist() == ["/a", ""]
    assert fields.words("request_method").codes.tolist() == [0, -1]


def test_a_value_of_literals_and_variables_is_cut_at_the_literals():
    fields = logged(b'{"k":"GET http://a/b"}', b'{"k":"nothing"}', template='{"k":"$request_method $scheme://$uri"}')
    assert fields.texts("$request_method,$scheme,$uri").to_pylist() == ["GET,http,a/b", ",,"]


@pytest.mark.parametrize(
    "line",
    rb"""[] 1 "a" { {] {"a"} {"a":}} {"a":1,} {"a":1}x {"a":tru} {"a":"x} {"a":[1} {"a":{"b":1} {,"a":1} {a:1}
    {"a"1} {"a":1"b":2} {"a":"x""b":1} {"a":"\ {"a":1,"b"} {"a":1,,"b":1}""".split(),
)
def test_no_object(line: bytes):
    assert logged(line).bad == {"does not fit the log_format": 1}


@pytest.mark.parametrize("line", [b"{}", b" { } ", b'{"zz":1}'])
def test_nothing_wanted(line: bytes):
    assert logged(line).integers("status").tolist() == [-1]


scalars = st.one_of(
    st.text(),
    st.integers(-(10**17), 10**17),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.one_of(scalars, st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
objects = st.dictionaries(st.sampled_from([*KEYS, "other", "a ", "urj"]), values)


@given(objects, st.booleans(), st.sampled_from([None, (" , ", " : "), (",", ":")]))
@settings(max_examples=150)
def test_the_same_as_json(found: dict[str, Any], ascii_only: bool, separators: tuple[str, str] | None):
    line = json.dumps(found, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "surrogatepass")
    agrees(line)


@given(st.binary(max_size=12), st.binary(max_size=12), st.integers(0, 60))
@example(b'"', b"", 3)
@settings(max_examples=300)
def test_what_json_reads_is_read_after_any_damage(one: bytes, two: bytes, at: int):
    line = b'{"a":"x\\u0041", "b": -1.5e3 , "uri":"/a\\/b","status":200,"other":[{"a":1},"]"]}'
    agrees((line[:at] + one + line[at + len(two) :]).replace(b"\n", b" ").replace(b"\r", b" "))


def agrees(line: bytes) -> None:
    expected = json_line(line)
    fields = scan(json_log_format(KEYS), line + b"\n")
    if expected is None or len(line.strip()) == 0:
        return
    assert len(fields) == 1
    for key in KEYS:
        text = expected.get(key, "").encode("utf-8", "surrogatepass").decode("utf-8", "backslashreplace")
        name = "request_uri" if key == "uri" else key
        assert fields.texts(f"${name}").to_pylist() == [text]
    status = expected.get("status", "")
    if isinstance(status, str) and status.isascii() and status.isdigit() and len(status) < 19:
        assert fields.integers("status").tolist() == [int(status)]


@example([rb"\ud83d\uffe9", rb"\ud83d\ud83d\ude00", rb"\ud83d\u00"])
@given(st.lists(st.sampled_from([b"\\", b"u", b"d83d", b"dE00", b"00e9", b'"', b"/", b"n", b"x4", b"1", b"\xff"])))
def test_escapes_are_undone_as_by_the_twin(pieces: list[bytes]):
    value = b"".join(pieces)
    for escape in ("json", "default", "none"):
        fields = scan(parse_log_format("|$a|", escape=escape), b"|" + value + b"|\n")
        assert fields.texts("$a").to_pylist() == [undo(value, escape)]
