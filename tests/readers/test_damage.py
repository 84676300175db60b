"""Broken files: what can be saved is saved and counted, what cannot is refused with place and advice."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evictlab.traces.errors import EvictlabError, FormatError, UnknownNameError
from evictlab.traces.readers import FORMATS, open_reader

RECORD = struct.Struct("<IQIq")
PACK = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "bz2": bz2.compress,
    "zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("named", [True, False])
def test_compression_is_told_by_content(tmp_path, read, suffix, named):
    text = b"".join(b"%d %d 5\n" % (i, i * i % 97) for i in range(300))
    binary = b"".join(RECORD.pack(i, i % 7, 5, -1) for i in range(300))
    for content, format in [(text, "webcachesim"), (binary, "oracle_general")]:
        # Two members one after the other, as log rotation and parallel compressors write them.
        half = len(content) // 2
        file = tmp_path / (f"t.{suffix}" if named else "t")
        file.write_bytes(PACK[suffix](content[:half]) + PACK[suffix](content[half:]))
        trace = read(f"{format}:{file}")
        assert len(trace.keys) == 300
        assert read(file).name == format


@pytest.mark.parametrize("suffix", PACK)
def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path, read, suffix):
    content = b"".join(RECORD.pack(i, i * 7919 % 10_007, 5 + i % 13, -1) for i in range(40_000))
    packed = PACK[suffix](content)
    file = tmp_path / f"t.oracleGeneral.{suffix}"
    file.write_bytes(packed[: len(packed) * 2 // 3])
    with pytest.raises(FormatError, match="cut off inside its compression"):
        read(file)


def test_torn_last_record(tmp_path, read):
    file = tmp_path / "t.oracleGeneral"
    file.write_bytes(RECORD.pack(1, 7, 5, -1) * 2 + b"torn")
    trace = read(file)
    assert trace.keys == [7, 7]
    assert trace.account.dropped == {"torn last record": 1}
    assert trace.account.records == 3
    assert any(note.startswith("byte 48") for note in trace.account.notes)


def test_torn_last_line(tmp_path, read):
    file = tmp_path / "t.spc"
    file.write_text("0,1,512,R,0.1\n0,2,512,R,0.2\n0,3,51")
    trace = read(file)
    assert len(trace.keys) == 2
    assert trace.account.dropped == {"torn last record": 1}
    assert trace.account.notes == ["line 3: '0,3,51' (torn last record)"]


def test_a_last_line_without_its_end_is_not_torn(tmp_path, read):
    file = tmp_path / "t.spc"
    file.write_text("0,1,512,R,0.1\n0,2,512,R,0.2")
    assert len(read(file).keys) == 2


def lines(bad, total, good="0,1,512,R,0.1"):
    """Return `total` lines of which `bad` are bad, evenly spread, the first of them on line 3."""
    every = total // bad if bad else total + 3
    return "".join("oops\n" if bad and i % every == 2 % every else good + "\n" for i in range(total))


@pytest.mark.parametrize(("bad", "total"), [(0, 100), (5, 100), (10, 100), (20, 2_000), (50, 10_000)])
def test_a_little_damage_is_dropped_and_counted(tmp_path, read, bad, total):
    file = tmp_path / "t.spc"
    file.write_text(lines(bad, total))
    trace = read(f"spc:{file}")
    assert len(trace.keys) == total - bad
    assert trace.account.records == total
    assert trace.account.dropped.get("unreadable", 0) == bad
    assert len(trace.account.notes) == min(bad, 3), "the first three are shown"
    if bad:
        assert trace.account.notes[0] == "line 3: 'oops' (unreadable)"


@pytest.mark.parametrize(("bad", "total"), [(11, 1_000), (500, 10_000), (900, 1_000)])
def test_much_damage_is_refused_with_place_value_and_advice(tmp_path, read, bad, total):
    file = tmp_path / "t.spc"
    file.write_text(lines(bad, total))
    with pytest.raises(FormatError) as caught:
        read(f"spc:{file}")
    message = str(caught.value)
    for part in (str(file), "'oops'", "format:path", "spc"):
        assert part in message
    if bad < total // 3:
        assert f"{file}, line 3" in message


def test_line_numbers_go_on_across_blocks(tmp_path, read):
    # 10 MB of lines is more than one block; blank lines count as lines but not as records.
    good = "0,12345678,512,R,0.123456789\n" * 350_000
    file = tmp_path / "t.spc"
    file.write_text("\n\n" + good + "oops\n")
    trace = read(f"spc:{file}")
    assert trace.account.notes == ["line 350003: 'oops' (unreadable)"]
    assert trace.account.records == 350_001
    assert len(trace.keys) == 350_000


@pytest.mark.parametrize(
    "line",
    [
        "0,1,99999999999999999999,R,0.1",  # a size beyond 64 bits
        "0,1,512,R,nan",
        "0,1,512,R,1e999",
        "0,1,,R,0.1",
        "0,-1,512,R,0.1",  # a block number below 0
        "0,999999999999,512,R,0.1",  # and one beyond any disk
        "0,1,512",
    ],
)
def test_values_that_no_number_holds_make_a_line_unreadable(tmp_path, read, line):
    file = tmp_path / "t.spc"
    file.write_text("0,1,512,R,0.1\n" + line + "\n0,2,512,R,0.1\n")
    trace = read(f"spc:{file}")
    assert trace.keys == [1, 2]
    assert trace.account.dropped == {"unreadable": 1}
    assert trace.account.notes[0].startswith("line 2: ")


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
def test_an_empty_file(tmp_path, content):
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(FormatError, match="is empty"):
        open_reader(file)


@pytest.mark.parametrize(("format", "content"), [("csv", "key,size\n"), ("plain", "\n\n"), ("lirs", "* \n*\n")])
def test_a_file_without_requests(tmp_path, read, format, content):
    file = tmp_path / "t"
    file.write_text(content)
    with pytest.raises(FormatError, match="holds no request"):
        read(f"{format}:{file}")


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "trace.csv").write_text("key\n1\n")
    with pytest.raises(FormatError, match=r"no such file\. Did you mean 'trace\.csv'\?"):
        open_reader(tmp_path / "trase.csv")
    with pytest.raises(FormatError, match="no folder"):
        open_reader(tmp_path / "nowhere" / "t.csv")
    with pytest.raises(FormatError, match="cannot be read"):
        open_reader(tmp_path)


def test_a_format_that_is_not_there(tmp_path):
    file = tmp_path / "t"
    file.write_text("1\n")
    with pytest.raises(UnknownNameError, match="Did you mean 'plain'"):
        open_reader(f"plein:{file}")


def test_endless_line(tmp_path, read):
    file = tmp_path / "t"
    file.write_bytes(b"1" * (17 << 20))
    with pytest.raises(FormatError, match="no line end"):
        read(f"plain:{file}")


def consume(source, **options):
    """Read all of a source; an error on purpose is fine, any other is not."""
    try:
        for batch in open_reader(source, **options).batches():
            assert len(batch)
    except EvictlabError as error:
        assert str(error)


PIECES = st.sampled_from([b"1,2", b"0x1f", b" ", b",", b"\n", b"\r\n", b'"', b"R", b"key", b"-", b"{}", b"\xff", b"\0"])
JUNK = st.one_of(st.binary(max_size=600), st.lists(PIECES, max_size=60).map(b"".join))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=JUNK)
def test_junk_is_a_trace_or_an_error_that_is_meant(tmp_path, content):
    file = tmp_path / "junk"
    file.write_bytes(content)
    consume(file)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=JUNK, format=st.sampled_from(sorted(FORMATS)))
def test_junk_under_any_name(tmp_path, content, format):
    file = tmp_path / "junk"
    file.write_bytes(content)
    consume(f"{format}:{file}", **({"format": "<IQ"} if format == "libcachesim_bin" else {}))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.randoms(use_true_random=False), length=st.integers(64, 5000))
def test_noise_is_never_taken_for_a_trace(tmp_path, noise, length):
    file = tmp_path / "noise"
    file.write_bytes(noise.randbytes(length))
    with pytest.raises(FormatError, match=r"no known trace format|damaged"):
        open_reader(file)
