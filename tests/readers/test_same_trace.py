"""One trace in many formats is one trace: the readers check each other."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

RNG = np.random.default_rng(5)
N = 2_000
KEYS = (RNG.zipf(1.4, N) % 300 * 7919 + 11).tolist()
SIZES = [k % 5000 + 1 for k in KEYS]
TIMES = np.sort(RNG.integers(0, 500, N)).tolist()
ROWS = list(zip(TIMES, KEYS, SIZES, strict=True))


def text(line: Callable[[int, int, int], str], header: str = "") -> bytes:
    return (header + "".join(line(*row) + "\n" for row in ROWS)).encode()


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"time_s": TIMES, "key": KEYS, "size": SIZES}), sink)
    return sink.getvalue().to_pybytes()


LCS = struct.pack("<QQ", 0x123456789ABCDEF0, 1).ljust(8192, b"\0")

# format: (content, options, what of time, key, size the format holds)
SAME: dict[str, tuple[bytes, dict[str, object], str]] = {
    "oracle_general": (b"".join(struct.pack("<IQIq", t, k, s, -1) for t, k, s in ROWS), {}, "tks"),
    "lcs": (LCS + b"".join(struct.pack("<IQIq", t, k, s, -1) for t, k, s in ROWS), {}, "tks"),
    "vscsi": (
        b"".join(struct.pack("<IIIHHQQ", 0, s, 1, 0x28, 0x100, k, t * 1_000_000) for t, k, s in ROWS),
        {},
        "tks",
    ),
    "libcachesim_bin": (
        b"".join(struct.pack("<QqI", k, s, t) for t, k, s in ROWS),
        {"format": "<QqI", "key": 1, "size": 2, "time": 3},
        "tks",
    ),
    "cloudphysics": (b"".join(struct.pack(">I", k) for k in KEYS), {}, "k"),
    "corda": (b"".join(struct.pack(">q", k) for k in KEYS), {}, "k"),
    "csv": (text(lambda t, k, s: f"{s};{t};{k}", "size;time;key\n"), {}, "tks"),
    "libcachesim_csv": (
        text(lambda t, k, s: f"{t},{k},{s}"),
        {"time_col": 1, "obj_id_col": 2, "obj_size_col": 3},
        "tks",
    ),
    "parquet": (parquet(), {}, "tks"),
    "webcachesim": (text(lambda t, k, s: f"{t} {k} {s}"), {}, "tks"),
    "spc": (text(lambda t, k, s: f"0,{k},{s},R,{t}.0"), {}, "tks"),
    "msr": (text(lambda t, k, s: f"{t}0000000,h,0,Read,{k},{s},1"), {}, "tks"),
    "twitter": (text(lambda t, k, s: f"{t},{k},1,{s - 1},9,get,0"), {}, "tks"),
    "cachelib_kv": (text(lambda t, k, s: f"{k},GET,{s},1,{t}", "key,op,size,op_count,op_time\n"), {}, "tks"),
    "address": (text(lambda _, k, __: f"l {k:#x} 1"), {}, "k"),
    "parrot": (text(lambda _, k, __: f"0x1,{k:#X}"), {}, "k"),
    "arc": (text(lambda _, k, __: f"{k} 1 0 0"), {}, "k"),
    "lirs": (text(lambda _, k, __: f"{k}"), {}, "k"),
    "plain": (text(lambda _, k, __: f"{k}"), {}, "k"),
    "mooncake": (text(lambda t, k, _: json.dumps({"timestamp": t * 1000, "hash_ids": [k]})), {}, "tk"),
}


@pytest.mark.parametrize("ending", ["", ".zst"])
@pytest.mark.parametrize("format", SAME)
def test_all_formats_agree(tmp_path: Path, read, format: str, ending: str):
    content, options, holds = SAME[format]
    file = tmp_path / f"trace{ending}"
    file.write_bytes(pa.Codec("zstd").compress(content, asbytes=True) if ending else content)
    trace = read(f"{format}:{file}", **options)
    assert [int(key) for key in trace.keys] == KEYS
    assert trace.times == (TIMES if "t" in holds else None)
    assert trace.sizes == (SIZES if "s" in holds else None)
    assert not trace.account.dropped
    assert trace.account.records == N


SELF_EVIDENT = set(SAME) - {"libcachesim_bin", "libcachesim_csv", "cloudphysics", "corda", "arc", "lirs", "plain"}


@pytest.mark.parametrize("format", sorted(SELF_EVIDENT))
def test_these_need_no_name(tmp_path: Path, read, format: str):
    content, options, _ = SAME[format]
    file = tmp_path / "trace"
    file.write_bytes(content)
    trace = read(file, **options)
    assert trace.name == format
    assert len(trace.keys) == N
