"""Writing: what was written is what is read, and a failure leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evictlab.traces import RequestTrace, open_trace, write_trace
from evictlab.traces.errors import TraceError, UnknownNameError, UsageError
from evictlab.traces.normalise import COLUMNS


def integers(**columns: Any) -> RequestTrace:
    base: dict[str, Any] = {"sizes": [10, 20, 10, 5, 20], "times": [100, 101, 102, 104, 110]}
    return RequestTrace.from_columns([7, 2**64 - 1, 7, 0, 2**64 - 1], **{**base, **columns}, name="mine")


def texts() -> RequestTrace:
    return RequestTrace.from_columns(
        ["/a", "/b,\"'\n", "/a", "", "/b,\"'\n"],
        sizes=[2**33, 20, 10, 5, 20],
        times=[0.25, 1, 2, 3, 4],
        ttls=[np.inf, 1.5, 60, 60, 60],
        costs=[0.5, 0.25, 1, 1, 1],
        ops=[0, 1, 0, 3, 0],
        predictions=[1, np.nan, -0.5, np.inf, 2**53 - 1],
    )


def values(trace: RequestTrace) -> dict[str, Any]:
    columns = {name: getattr(trace, name) for name in COLUMNS}
    return {"ids": trace.ids.tolist(), "keys": trace.keys.tolist()} | {
        name: None if column is None else ["missing" if value != value else value for value in column.tolist()]
        for name, column in columns.items()
    }


@pytest.mark.parametrize("make", [integers, texts])
def test_parquet_holds_everything(make: Any, tmp_path: Path) -> None:
    trace = make()
    path = write_trace(trace, tmp_path / "t.parquet")
    assert values(open_trace(path, cache=False)) == values(trace)


def test_parquet_has_the_canonical_columns(tmp_path: Path) -> None:
    trace = integers(ops=[0, 0, 0, 0, 1], predictions=[0, 1, 0, np.nan, 1])
    table = pq.read_table(write_trace(trace, tmp_path / "t.parquet"))
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("time_s", "double"),
        ("key", "uint64"),
        ("size", "uint32"),
        ("op", "uint8"),
        ("prediction", "double"),
        ("next", "int64"),
    ]
    # Requests are counted from 1: the third asks for the key of the first, the fifth for that of the second.
    assert table["next"].to_pylist() == [3, 5, -1, -1, -1]
    facts = json.loads(table.schema.metadata[b"evictlab"])
    assert (facts["name"], facts["records"], facts["dropped"]) == ("mine", 5, {})
    wide = pq.read_schema(write_trace(texts(), tmp_path / "wide.parquet"))
    assert (str(wide.field("size").type), str(wide.field("key").type)) == ("int64", "string")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst"])
def test_csv_gives_the_trace_back(suffix: str, tmp_path: Path) -> None:
    predictions = [-1, np.nan, np.inf, 1e300, 0.1]
    trace = integers(ttls=[5, 6, 7, 8, 9], costs=[1, 2, 3, 4, 5], ops=[0, 1, 0, 3, 0], predictions=predictions)
    path = write_trace(trace, tmp_path / f"t{suffix}")
    assert values(open_trace(path, cache=False)) == values(trace)


@pytest.mark.parametrize(
    "suffix", [".oracleGeneral", ".oracleGeneral.bin", ".oracleGeneral.zst", ".oracleGeneral.bin.gz"]
)
def test_oracle_general_gives_the_trace_back(suffix: str, tmp_path: Path) -> None:
    # What the format has no field for stays behind.
    path = write_trace(integers(predictions=[1, 0, 1, 0, 1]), tmp_path / f"t{suffix}")
    assert values(open_trace(f"oracle_general:{path}", cache=False)) == values(integers())


def test_oracle_general_byte_by_byte(tmp_path: Path) -> None:
    path = write_trace(RequestTrace.from_columns([9, 9], sizes=[3, 4], times=[1, 2.9]), tmp_path / "t.oracleGeneral")
    assert path.read_bytes().hex() == (
        "01000000" "0900000000000000" "03000000" "0200000000000000"
        "02000000" "0900000000000000" "04000000" "ffffffffffffffff"
    )  # fmt: skip


def test_oracle_general_without_times_sizes_or_integer_keys(tmp_path: Path) -> None:
    path = write_trace(RequestTrace.from_columns(["a", "b", "a"]), tmp_path / "t.oracleGeneral")
    trace = open_trace(f"oracle_general:{path}", cache=False)
    assert trace.keys.tolist() == [1, 2]
    assert trace.sizes is not None
    assert trace.sizes.tolist() == [1, 1, 1]


def test_oracle_general_says_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="sizes below 4 GiB"):
        write_trace(texts(), tmp_path / "t.oracleGeneral")
    with pytest.raises(TraceError, match=r"below 2\^32"):
        write_trace(integers(times=[0, 1, 2, 3, 2**33]), tmp_path / "t.oracleGeneral")
    # Times of this century in milliseconds do not fit, but their distances do.
    path = write_trace(integers(times=np.arange(5) + 1.7e12), tmp_path / "t.oracleGeneral")
    trace = open_trace(f"oracle_general:{path}", cache=False)
    assert trace.times is not None
    assert trace.times.tolist() == [0, 1, 2, 3, 4]


def test_next_use_agrees_with_a_file_of_libcachesims_authors(shared_data: Path, tmp_path: Path) -> None:
    """The first 1000 requests of a longer trace: numbers up to 1000 must be ours, later ones become -1."""
    source = shared_data / "block" / "cloudPhysicsIO-first1000.oracleGeneral.bin.zst"
    theirs = np.frombuffer(pa.input_stream(str(source)).read(), "<u4,<u8,<u4,<i8")
    path = write_trace(open_trace(source, cache=False), tmp_path / "t.oracleGeneral")
    ours = np.fromfile(path, "<u4,<u8,<u4,<i8")
    for field in ("f0", "f1", "f2"):
        assert (ours[field] == theirs[field]).all()
    assert (ours["f3"] == np.where(theirs["f3"] > 1000, -1, theirs["f3"])).all()


@pytest.mark.parametrize("suffix", ["log", "log.gz"])
def test_an_access_log_gives_the_requests_back(suffix: str, tmp_path: Path) -> None:
    trace = integers(times=[1e9 + 0.25, 1e9 + 0.75, 1e9 + 1, 1e9 + 4, 1e9 + 4.5])
    again = open_trace(write_trace(trace, tmp_path / f"site.{suffix}"), cache=False, requests="all")
    assert again.provenance.reader == "access_log"
    assert again.keys.to_pylist() == ["/7", f"/{2**64 - 1}", "/0"]
    assert again.ids.tolist() == trace.ids.tolist()
    assert again.sizes.tolist() == trace.sizes.tolist()
    assert np.floor(again.times).tolist() == np.floor(trace.times).tolist()  # a log has whole seconds


def test_an_access_log_line_by_line(tmp_path: Path) -> None:
    trace = RequestTrace.from_columns(["/a b", 'x"y'], sizes=[5, 6], times=[0, 951_827_696], ops=[0, 1])
    assert write_trace(trace, tmp_path / "site.log").read_text().splitlines() == [
        '- - - [01/Jan/1970:00:00:00 +0000] "GET /a%20b HTTP/1.1" 200 5 "-" "-"',
        '- - - [29/Feb/2000:12:34:56 +0000] "PUT /x%22y HTTP/1.1" 200 6 "-" "-"',
    ]


def test_an_access_log_says_what_it_cannot_hold(tmp_path: Path) -> None:
    for columns, said in (
        ({"times": None}, "no times"),
        ({"sizes": None}, "no sizes"),
        ({"times": [1e18] * 5}, "no times of"),
    ):
        with pytest.raises(TraceError, match=said):
            write_trace(integers(**columns), tmp_path / "site.log")
    assert list(tmp_path.iterdir()) == []


def test_more_than_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evictlab.traces.write.BATCH_REQUESTS", 7)
    keys = np.random.default_rng(0).integers(0, 9, 50)
    trace = RequestTrace.from_columns(keys)
    for name in ("a.parquet", "a.oracleGeneral", "a.csv"):
        write_trace(trace, tmp_path / name)
    upcoming = [int(n) + 1 if n < 2**31 - 1 else -1 for n in trace.next_use]
    assert pq.read_table(tmp_path / "a.parquet")["next"].to_pylist() == upcoming
    assert np.fromfile(tmp_path / "a.oracleGeneral", "<u4,<u8,<u4,<i8")["f3"].tolist() == upcoming
    assert (tmp_path / "a.csv").read_text().split()[1:] == [str(key) for key in keys]


def test_the_format_comes_from_the_suffix_or_from_the_user(tmp_path: Path) -> None:
    path = write_trace(integers(), f"oracle-general:{tmp_path / 'data'}")
    assert (path, path.stat().st_size) == (tmp_path / "data", 5 * 24)
    with pytest.raises(UsageError, match=r"in which format\? Known suffixes: \.parquet"):
        write_trace(integers(), tmp_path / "data.txt")
    with pytest.raises(UnknownNameError, match="Did you mean 'parquet'"):
        write_trace(integers(), "parket:data")


def test_an_existing_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "t.oracleGeneral"
    path.write_text("precious")
    with pytest.raises(TraceError):
        write_trace(texts(), path)
    assert path.read_text() == "precious"
    write_trace(integers(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["t.oracleGeneral"]


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 100 bytes, as if the disk were full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.csv.gz", "t.oracleGeneral", "t.oracleGeneral.zst"])
def test_a_full_disk_leaves_nothing(name: str, tmp_path: Path, full_disk: None) -> None:
    rng = np.random.default_rng(0)
    trace = RequestTrace.from_columns(rng.integers(0, 2**62, 500), sizes=rng.integers(1, 2**30, 500))
    with pytest.raises(TraceError, match=r"cannot be written .*; nothing was left behind"):
        write_trace(trace, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere/t\.csv: cannot be written"):
        write_trace(integers(), tmp_path / "nowhere" / "t.csv")
