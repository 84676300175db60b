"""The scanner of access logs, by example: what fits, what is bad, and what the columns hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evictlab.traces.errors import UnknownNameError
from evictlab.traces.weblog.fields import Fields, scan
from evictlab.traces.weblog.log_format import parse_log_format
from evictlab.traces.weblog.siphash import fill_siphashes

COMBINED = parse_log_format("combined")


def one(template: str, line: bytes, escape: str = "default") -> Fields:
    return scan(parse_log_format(template, escape=escape), line + b"\n")


def combined(request: bytes, agent: bytes = b"x") -> bytes:
    return b'::1 - - [17/May/2015:10:05:03 +0200] "' + request + b'" 200 5 "-" "' + agent + b'"\n'


def test_five_lines():
    block = (
        b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a?b=1 HTTP/1.1" 200 512 "-" "agent"\n'
        b"\n"  # blank: not counted
        b'::1 - al ice [17/May/2015:12:05:04 +0200] "\\x16\\x03\\x01" 400 - "http://x/" "-"\r\n'
        b"server restarted\n"
        b'unix: - - [17/May/2015:10:05:05 +0000] "HEAD / HTTP/1.0" 304 0 "-" "a \\x22quoted\\x22 \\" one"'
    )
    fields = scan(COMBINED, block, first_line=11)
    assert (len(fields), fields.records) == (3, 4)
    assert fields.lines.tolist() == [11, 13, 15]
    assert fields.bad == {"does not fit the log_format": 1}
    assert fields.examples == [("does not fit the log_format", "line 14: 'server restarted'")]
    assert fields.texts("$remote_user").to_pylist() == ["-", "al ice", "-"]
    assert fields.integers("status").tolist() == [200, 400, 304]
    assert fields.integers("body_bytes_sent").tolist() == [512, -1, 0]
    stamps, whole = fields.stamps()
    assert stamps.tolist() == [1431857103, 1431857104, 1431857105]
    assert whole
    methods = fields.words("request_method")
    assert [methods.texts[code] for code in methods.codes] == ["GET", "", "HEAD"]  # TLS is no request
    assert fields.texts("https://", "$remote_addr", "$request_uri").to_pylist() == [
        "https://1.2.3.4/a?b=1",
        "https://::1",
        "https://unix:/",
    ]
    assert fields.texts("$http_user_agent").to_pylist()[2] == 'a "quoted" " one'
    assert fields.has("server_protocol")
    assert not fields.has("msec")
    with pytest.raises(UnknownNameError, match="msec"):
        fields.reals("msec")


def test_why_a_line_is_bad():
    junk = [b"\x16\x03\x01\x02\x00\x01", b"no", b"\0" * 9, b"a" * (1 << 20) + b"b", b"1.1.1.1 - - [17/May/2015"]
    fields = scan(COMBINED, b"\n".join(junk))
    assert fields.bad == {
        "binary": 2,
        "does not fit the log_format": 1,
        "longer than 1 MiB": 1,
        "torn last line": 1,
    }
    assert fields.records == 5
    assert len(fields.stamps()[0]) == len(fields.texts("$request_uri")) == 0
    assert all(len(text) < 400 for _, text in fields.examples)


def test_at_most_three_examples_of_a_reason():
    fields = scan(COMBINED, b"no\n" * 9)
    assert [text for _, text in fields.examples] == ["line 1: 'no'", "line 2: 'no'", "line 3: 'no'"]


@pytest.mark.parametrize("block", [b"", b"\n", b"\r\n \t\n"])
def test_no_lines(block: bytes):
    fields = scan(COMBINED, block)
    assert (len(fields), fields.records, fields.bad, fields.examples) == (0, 0, {}, [])
    assert fields.words("status").texts == [""]


def test_quotes_that_nothing_escapes_belong_to_the_value():
    fields = scan(
        COMBINED, combined(b'GET /a"b HTTP/1.1', b'Mozilla "x" "y" z') + combined(b"GET / HTTP/1.1", b"ends\\")
    )
    assert fields.texts("$request_uri").to_pylist() == ['/a"b', "/"]
    assert fields.texts("$http_user_agent").to_pylist() == ['Mozilla "x" "y" z', "ends\\"]
    assert fields.mended == 2
    # Cut from the left, the status would be "b": so this line is cut from the right.
    fields = scan(COMBINED, combined(b'GET /a" b HTTP/1.1'))
    assert fields.texts("$request_uri").to_pylist() == ['/a" b']
    assert (fields.integers("status").tolist(), fields.mended) == ([200], 1)


def test_a_line_with_more_fields_than_the_format_does_not_fit():
    assert len(scan(parse_log_format("common"), combined(b"GET / HTTP/1.1"))) == 0


def test_the_request_line_in_parts():
    requests = [
        b"GET  / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /old",
        b"-",
        b"",
        b"get / HTTP/1.1",
        b"PURGE * HTTP/2.0",
        b"\x16\x03\x01\0 \xff",
    ]
    fields = scan(COMBINED, b"".join(map(combined, requests)))
    assert fields.texts("$request_method|$request_uri|$server_protocol").to_pylist() == [
        "||",
        "GET|/a b|HTTP/1.1",
        "GET|/old|",
        "||",
        "||",
        "||",
        "PURGE|*|HTTP/2.0",
        "||",
    ]


def test_a_variable_of_its_own_goes_before_the_request_line():
    assert one('$request_uri "$request"', b'/own "GET /other HTTP/1.1"').texts("$request_uri").to_pylist() == ["/own"]


def test_neighbours_without_a_literal_are_told_by_their_shape():
    fields = one("$status$body_bytes_sent $msec$pipe $host$request_uri", b"200512 1431857103.250p example.org/x/y")
    assert fields.integers("status").tolist() == [200]
    assert fields.integers("body_bytes_sent").tolist() == [512]
    assert fields.stamps()[0].tolist() == [1431857103.25]
    assert fields.texts("$host $request_uri $pipe").to_pylist() == ["example.org /x/y p"]


def test_without_escapes_a_backslash_is_a_backslash():
    fields = one('"$request_uri" $status', b'"/a\\" 200', escape="none")
    assert fields.texts("$request_uri").to_pylist() == ["/a\\"]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (b"17/May/2015:10:05:03 +0000", 1431857103),
        (b"17/May/2015:03:35:03 -0630", 1431857103),
        (b"29/Feb/2000:00:00:00 +0000", 951782400),
        (b"01/Jan/1970:00:00:00 +0000", 0),
        (b"29/Feb/2015:10:05:03 +0000", None),
        (b"17/Mai/2015:10:05:03 +0000", None),
        (b"17/May/2015:25:05:03 +0000", None),
        (b"17/May/2015:10:05:03", None),
        (b"2015-05-17T10:05:03+00:00", 1431857103),
        (b"2015-05-17T12:05:03.25+02:00", 1431857103.25),
        (b"2015-05-17T10:05:03Z", 1431857103),
        (b"2015-05-17T10:05:03", None),
        (b"1431857103.123", 1431857103.123),
        (b"1431857103", 1431857103),
        (b"-", None),
        (b"", None),
    ],
)
def test_times(written: bytes, seconds: float | None):
    stamps, whole = one("[$time_local]", b"[" + written + b"]").stamps()
    assert stamps[0] == seconds or (seconds is None and math.isnan(stamps[0]))
    assert whole == (seconds is None or seconds == int(seconds))


def test_the_most_exact_time_counts():
    fields = one("[$time_local] $time_iso8601 $msec", b"[01/Jan/1970:00:00:01 +0000] 1970-01-01T00:00:02Z 3.500")
    assert fields.stamps() == (np.array([3.5]), False)
    assert scan(parse_log_format("$status"), b"200\n").stamps()[1]
    assert np.isnan(scan(parse_log_format("$status"), b"200\n").stamps()[0]).all()


@pytest.mark.parametrize(
    ("text", "integer", "real", "seconds"),
    [
        (b"512", 512, 512, 512),
        (b"512.0", 512, 512, 512),
        (b"-7", -7, -7, -7),
        (b"0.5", -1, 0.5, 0.5),
        (b"1e3", -1, 1000, 1000),
        (b"1234567890123456789012", -1, 1234567890123456789012.0, 1234567890123456789012.0),
        (b"0.001, 0.004 : 0.002", -1, None, 0.007),
        (b"-, 0.004", -1, None, 0.004),
        (b"-", -1, None, None),
        (b"", -1, None, None),
        (b"- : -", -1, None, None),
        (b"0.1, x", -1, None, None),
        (b"12a", -1, None, None),
        (b"1e", -1, None, None),
        (b".", -1, None, None),
        (b"1e999", -1, None, None),
    ],
)
def test_numbers(text: bytes, integer: int, real: float | None, seconds: float | None):
    fields = one("|$upstream_response_time|", b"|" + text + b"|")
    assert fields.integers("upstream_response_time").tolist() == [integer]
    for found, expected in [
        (fields.reals("upstream_response_time"), real),
        (fields.seconds("upstream_response_time"), seconds),
    ]:
        assert np.isnan(found[0]) if expected is None else found[0] == pytest.approx(expected, rel=1e-15)


def test_words_are_numbered_as_they_appear_and_without_escapes():
    fields = scan(parse_log_format('"$a"'), b'"HIT"\n""\n"MISS"\n"HIT"\n"\\x48IT"\n"-"\n')
    words = fields.words("a")
    assert words.texts == ["HIT", "MISS", "-", ""]
    assert words.codes.tolist() == [0, -1, 1, 0, 0, 2]
    assert words.codes.dtype == np.int32


def test_bytes_that_are_not_utf8_keep_keys_apart():
    fields = scan(parse_log_format("$a"), b"/\xff\n/\xfe\n/\xc3\xa9\n/\\xC3\\xA9\n")
    assert fields.texts("$a").to_pylist() == ["/\\xff", "/\\xfe", "/é", "/é"]
    assert len(set(fields.hashes("$a", salt=1).tolist())) == 3


def test_hashes_depend_on_every_bit_of_the_salt():
    fields = scan(parse_log_format("$a $b"), b"x yz\nxy z\n")
    hashes = {salt: fields.hashes("$a", "$b", salt=salt).tolist() for salt in (0, 1, 1 << 64, 1 << 127)}
    assert all(one == two for one, two in hashes.values())  # of the joined text, "xyz"
    assert len({one for one, _ in hashes.values()}) == 4
    assert fields.hashes("$a", salt=0)[0] != fields.hashes("$a", salt=0)[1]


def test_siphash_of_the_paper():
    # Aumasson and Bernstein, appendix A: key 00 01 .. 0f, message 00 01 .. 0e.
    out = np.empty(2, np.uint64)
    key = np.frombuffer(bytes(range(16)), np.uint64)
    fill_siphashes(np.array([0, 0, 15]), np.arange(15, dtype=np.uint8), key, out)
    assert [hex(value) for value in out.tolist()] == ["0x726fdb47dd0e0e31", "0xa129ca6149be45e5"]
