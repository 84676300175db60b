"""Sizes and durations: what is accepted, what is refused, and with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evictlab.traces import format_bytes, format_count, format_duration, parse_duration, parse_size
from evictlab.traces.errors import UnitError


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("25MB", 25_000_000, "bytes"),
        ("1GiB", 2**30, "bytes"),
        ("1.5kB", 1500, "bytes"),
        ("1 tib", 2**40, "bytes"),
        ("7B", 7, "bytes"),
        ("10%", 0.1, "fraction"),
        ("0.1%", 0.001, "fraction"),
        ("200%", 2.0, "fraction"),
        ("5000obj", 5000, "objects"),
        ("5kobj", 5000, "objects"),
        ("1e6obj", 1_000_000, "objects"),
        (" 1_000 obj ", 1000, "objects"),
    ],
)
def test_a_size_says_what_it_counts(text: str, value: float, kind: str) -> None:
    size = parse_size(text)
    assert (size.value, size.kind, size.label) == (pytest.approx(value), kind, text.strip())
    assert isinstance(size.value, float if kind == "fraction" else int)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("100", "'100' has no unit: 100obj, 100B or 100%?"),
        ("10M", "Bytes are MB or MiB"),
        ("3parsecs", "unknown unit 'parsecs'"),
        ("0obj", "at least 1 object"),
        ("0B", "at least 1 byte"),
        ("0.3B", "at least 1 byte"),
        ("0%", "above 0 %"),
        ("-5MB", "at least 1 byte"),
        ("-1%", "above 0 %"),
        ("1e400GB", "below 2^62"),
        ("1e400%", "above 0 %"),
        ("nan%", "not a number"),
        ("", "not a number"),
        ("MB", "not a number"),
    ],
)
def test_a_size_that_makes_no_sense_is_refused_with_a_hint(text: str, words: str) -> None:
    with pytest.raises(UnitError) as error:
        parse_size(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10min", 600),
        ("60s", 60),
        ("2h", 7200),
        ("500ms", 0.5),
        ("1d", 86400),
        ("0s", 0),
        ("20us", 2e-5),
        ("1w", 604800),
    ],
)
def test_a_duration_becomes_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [("60", "60s, 60min or 60h?"), ("-1s", "negative"), ("5x", "unknown unit"), ("soon", "not a number")],
)
def test_a_duration_without_sense_is_refused(text: str, words: str) -> None:
    with pytest.raises(UnitError, match=words.replace("?", r"\?")):
        parse_duration(text)


def test_numbers_for_people() -> None:
    assert [format_bytes(b) for b in (0, 999, 1023.9, 1536, 2**30, 2**60)] == [
        "0 B",
        "999 B",
        "1 KiB",
        "1.5 KiB",
        "1 GiB",
        "1024 PiB",
    ]
    assert [format_count(n) for n in (0, 12, 999.7, 1_234_567, -1500)] == ["0", "12", "1k", "1.23M", "-1.5k"]
    assert [format_duration(s) for s in (0, 5400, 0.25, 90, 1e-5, 86400 * 400)] == [
        "0 s",
        "1.5 h",
        "250 ms",
        "1.5 min",
        "10 us",
        "400 d",
    ]


@given(st.integers(1, 2**50))
def test_a_formatted_size_is_read_back_within_its_three_digits(n_bytes: int) -> None:
    assert parse_size(format_bytes(n_bytes)).value == pytest.approx(n_bytes, rel=0.006)
