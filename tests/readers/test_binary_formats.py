"""Each binary format on a few records written here by hand; the layout stands beside them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from evictlab.traces.errors import FormatError, UsageError
from evictlab.traces.readers import open_reader


def test_oracle_general(tmp_path, read):
    # u32 time, u64 id, u32 size, i64 next use; the third request is the first object again.
    file = tmp_path / "t.oracleGeneral"
    file.write_bytes(
        struct.pack("<IQIq", 100, 7, 4096, 2)
        + struct.pack("<IQIq", 100, 2**63 + 5, 2**32 - 1, -1)
        + struct.pack("<IQIq", 4_000_000_000, 7, 4096, -1)
    )
    trace = read(file)
    assert trace.name == "oracle_general"
    assert trace.keys == [7, 2**63 + 5, 7]
    assert trace.sizes == [4096, 2**32 - 1, 4096], "sizes are unsigned"
    assert trace.times == [100.0, 100.0, 4e9]
    assert trace.account.records == 3


def test_vscsi_version_1(tmp_path, read):
    # u32 serial, length, n_sg; u16 command, version; u64 block, microseconds. 0x28 reads, 0x2a writes.
    file = tmp_path / "t.vscsi"
    file.write_bytes(
        struct.pack("<IIIHHQQ", 1, 512, 1, 0x28, 0x100, 2**40, 5_000_000)
        + struct.pack("<IIIHHQQ", 2, 8192, 1, 0x2A, 0x100, 3, 5_500_000)
    )
    trace = read(file)
    assert trace.name == "vscsi"
    assert trace.keys == [2**40, 3]
    assert trace.sizes == [512, 8192]
    assert trace.times == [5.0, 5.5]
    assert trace.ops == [0, 1]


def test_vscsi_version_2(tmp_path, read):
    # u16 command, version; u32 serial, length, n_sg; u64 block, microseconds, response.
    file = tmp_path / "t.vscsi"
    file.write_bytes(
        struct.pack("<HHIIIQQQ", 0x88, 0x200, 1, 512, 1, 9, 1_000_000, 77)
        + struct.pack("<HHIIIQQQ", 0x00, 0x200, 2, 0, 1, 10, 2_000_000, 77)
    )
    trace = read(f"vscsi:{file}")
    assert trace.keys == [9, 10]
    assert trace.ops == [0, 3], "a command that neither reads nor writes is another operation"


@pytest.mark.parametrize(
    ("format", "code", "keys"),
    [
        # One big-endian number per request; signed ones keep their 64-bit pattern.
        ("cache2k", ">i", [2**64 - 2, 1, 2**31 - 1]),
        ("cloudphysics", ">I", [2**32 - 2, 1, 2**31 - 1]),
        ("corda", ">q", [2**64 - 2, 1, 2**31 - 1]),
        ("scarab", ">q", [2**64 - 2, 1, 2**31 - 1]),
    ],
)
def test_big_endian_numbers(tmp_path, read, format, code, keys):
    file = tmp_path / "t.bin"
    signed = [-2, 1, 2**31 - 1]
    file.write_bytes(b"".join(struct.pack(code, k if code != ">I" else k % 2**32) for k in signed))
    trace = read(f"{format}:{file}")
    assert trace.keys == keys
    assert trace.sizes is None


def test_small_64_bit_numbers_are_not_taken_for_32_bit_ones(tmp_path, read):
    file = tmp_path / "t.trace"
    keys = np.random.default_rng(0).integers(0, 500, 1000)
    file.write_bytes(keys.astype(">i8").tobytes())
    assert read(file).keys == keys.tolist()


def test_libcachesim_bin_by_format_string(tmp_path, read):
    # '<IQHi': u32 time, u64 id, u16 op, i32 size; fields are numbered from 1.
    file = tmp_path / "t.bin"
    file.write_bytes(struct.pack("<IQHi", 5, 70, 1, 300) + struct.pack("<IQHi", 6, 80, 1, -1))
    trace = read(f"libcachesim_bin:{file}", format="<IQHi", time=1, key="2", size="4")
    assert trace.keys == [70, 80]
    assert trace.sizes == [300, -1], "negative sizes are for the next step to judge"
    assert trace.times == [5.0, 6.0]


def test_libcachesim_bin_with_a_header_and_one_field(tmp_path, read):
    file = tmp_path / "t.bin"
    file.write_bytes(b"head" + struct.pack("<qq", -1, 4))
    trace = read(f"libcachesim_bin:{file}", format="<q", offset=4)
    assert trace.keys == [2**64 - 1, 4]
    assert trace.times is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "format="),
        ({"format": ">IQ"}, "got '>IQ'"),
        ({"format": "<IQ", "size": 3}, "numbered 1 to 2"),
        ({"format": "<Id"}, "real number"),
        ({"format": "<I", "offset": "x"}, "offset"),
    ],
)
def test_libcachesim_bin_says_what_is_wrong(tmp_path, options, said):
    file = tmp_path / "t.bin"
    file.write_bytes(bytes(48))
    with pytest.raises(UsageError, match=said):
        open_reader(f"libcachesim_bin:{file}", **options)


LCS_HEADER = struct.pack("<QQ", 0x123456789ABCDEF0, 0).ljust(8192, b"\0")


@pytest.mark.parametrize(
    ("version", "record", "sizes", "ttls", "ops"),
    [
        # v1: u32 time, u64 id, u32 size, i64 next
        (1, struct.pack("<IQIq", 3, 9, 77, -1), [77], None, None),
        # v2: ... u8 op, u24 tenant before next; op 3 is set
        (2, struct.pack("<IQIB3xq", 3, 9, 77, 3, -1), [77], None, [1]),
        # v3: i64 size, and u32 ttl; op 9 is delete
        (3, struct.pack("<IQqB3xIq", 3, 9, 2**40, 9, 60, -1), [2**40], [60.0], [2]),
        # v5: v3 and two u32 features; a TTL of 0 is none
        (5, struct.pack("<IQqB3xIqII", 3, 9, 5, 1, 0, -1, 8, 8), [5], [np.inf], [0]),
    ],
)
def test_lcs(tmp_path, read, version, record, sizes, ttls, ops):
    file = tmp_path / "t.lcs"
    file.write_bytes(LCS_HEADER[:8] + struct.pack("<Q", version) + LCS_HEADER[16:] + record * 2)
    trace = read(file)
    assert trace.name == "lcs"
    assert trace.keys == [9, 9]
    assert trace.times == [3.0, 3.0]
    assert trace.sizes == sizes * 2
    assert trace.ttls == (ttls and ttls * 2)
    assert trace.ops == (ops and ops * 2)


def test_lcs_of_a_later_version_is_refused(tmp_path):
    file = tmp_path / "t.lcs"
    file.write_bytes(LCS_HEADER[:8] + struct.pack("<Q", 99) + LCS_HEADER[16:])
    with pytest.raises(FormatError, match="lcs version 99"):
        open_reader(file)


def test_more_records_than_a_batch(tmp_path, read):
    keys = np.arange(2_100_000, dtype=">u4")
    file = tmp_path / "t.bin"
    keys.tofile(file)
    reader = open_reader(f"cloudphysics:{file}")
    lengths = [len(batch) for batch in reader.batches()]
    assert lengths == [1 << 20, 1 << 20, 2_100_000 - 2 * (1 << 20)]
    assert reader.account.records == 2_100_000
    assert [len(batch) for batch in reader.batches()] == lengths, "a reader can be walked again"
    assert reader.account.records == 2_100_000
