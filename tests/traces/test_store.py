"""Numbered traces on disk: found again, renewed when the source changes, never half there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evictlab.traces import RequestTrace, open_trace, store
from evictlab.traces import open as opening
from evictlab.traces.columns import FileColumn, StoreError
from evictlab.traces.errors import TraceError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVICTLAB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "traces"


@pytest.fixture
def integers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_text("time_s,key,size\n" + "".join(f"{i},{i % 7 + 100},{i % 5}\n" for i in range(50)))
    return path


@pytest.fixture
def strings(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    lines = (f"/page/{i % 7},{i + 1},{i if i % 3 else ''}\n" for i in range(50))
    path.write_text("key,size,prediction\n" + "".join(lines))
    return path


def refuse_to_read(*_: Any, **__: Any) -> Any:
    raise AssertionError("the source was read again")


def same(a: RequestTrace, b: RequestTrace) -> bool:
    def listed(trace: RequestTrace, name: str) -> list[Any] | None:
        column = getattr(trace, name)
        return None if column is None else ["missing" if value != value else value for value in column.tolist()]

    columns = ("ids", "sizes", "times", "ttls", "costs", "ops", "predictions", "keys")
    return a.n_objects == b.n_objects and all(listed(a, name) == listed(b, name) for name in columns)


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_the_second_time_nothing_is_read(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = request.getfixturevalue(kind)
    direct, first = open_trace(path, cache=False), open_trace(path)
    monkeypatch.setattr(opening, "open_reader", refuse_to_read)
    second = open_trace(path)
    assert same(direct, first)
    assert same(direct, second)
    assert second.provenance.to_dict() == direct.provenance.to_dict()
    assert (second.provenance.reader, second.name) == ("csv", path.name)
    assert second.provenance.sha256 == direct.provenance.sha256


def test_columns_are_maps_of_files(integers: Path, own_cache: Path) -> None:
    trace = open_trace(integers)
    assert isinstance(trace.ids.base, np.memmap) or isinstance(trace.ids.base.base, np.memmap)
    (folder,) = own_cache.iterdir()
    assert folder.name.startswith("numbers.csv-")
    assert sorted(file.name for file in folder.iterdir()) == [
        "ids.npy",
        "keys.npy",
        "sizes.npy",
        "times.npy",
        "trace.json",
    ]
    assert np.load(folder / "sizes.npy").tolist() == trace.sizes.tolist()


def test_predictions_are_kept_with_those_that_are_missing(strings: Path, own_cache: Path) -> None:
    open_trace(strings)
    (folder,) = own_cache.iterdir()
    kept = np.load(folder / "predictions.npy")
    assert kept.dtype == np.float64
    assert kept[:5].tolist() == pytest.approx([np.nan, 1, 2, np.nan, 4], nan_ok=True)
    assert open_trace(strings, prediction="size").predictions.tolist() == list(range(1, 51))
    assert len(list(own_cache.iterdir())) == 2


def test_another_name_needs_no_other_copy(integers: Path, own_cache: Path) -> None:
    assert open_trace(integers).name == "numbers.csv"
    assert open_trace(integers, name="mine").name == "mine"
    assert open_trace(integers).name == "numbers.csv"
    assert len(list(own_cache.iterdir())) == 1


def test_what_determines_the_trace_determines_the_entry(integers: Path, own_cache: Path) -> None:
    open_trace(integers)
    open_trace(f"csv:{integers}")
    open_trace(integers, limit=10)
    open_trace(integers, sample=0.5)
    open_trace(integers, sample=0.5, seed=1)
    open_trace([integers, integers])
    assert len(list(own_cache.iterdir())) == 6


def test_a_changed_source_is_read_again(integers: Path) -> None:
    assert open_trace(integers).n_requests == 50
    integers.write_text("time_s,key,size\n1,5,5\n")
    assert open_trace(integers).n_requests == 1
    before = integers.stat()
    integers.write_text("time_s,key,size\n1,9,5\n")
    os.utime(integers, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    assert open_trace(integers).keys.tolist() == [9]


@pytest.mark.parametrize("damage", ["truncate", "remove", "garble"])
def test_a_damaged_entry_is_made_anew(integers: Path, own_cache: Path, damage: str) -> None:
    good = open_trace(integers, cache=False)
    open_trace(integers)
    (folder,) = own_cache.iterdir()
    if damage == "truncate":
        os.truncate(folder / "ids.npy", 150)
    elif damage == "remove":
        (folder / "sizes.npy").unlink()
    else:
        (folder / "trace.json").write_text('{"columns": ["ids"')
    assert same(open_trace(integers), good)
    assert same(open_trace(integers), good)


def test_a_cache_that_cannot_be_written_is_done_without(
    integers: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_cache.parent.mkdir(parents=True, exist_ok=True)
    own_cache.write_text("a file where the folder should be")
    trace = open_trace(integers)
    assert same(trace, open_trace(integers, cache=False))
    assert any("cannot be kept on disk" in note for note in trace.provenance.account.notes)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 100 bytes, as if the disk were full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_only_the_cache(integers: Path, own_cache: Path, full_disk: None) -> None:
    trace = open_trace(integers)
    assert trace.n_requests == 50
    assert trace.provenance.account.repaired == {"size 0 -> 1 B": 10}
    assert any("cannot be kept on disk" in note for note in trace.provenance.account.notes)
    assert list(own_cache.iterdir()) == []


def test_a_trace_that_fails_leaves_nothing(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "deletes.csv"
    path.write_text("key,op\n1,delete\n2,delete\n")
    with pytest.raises(TraceError):
        open_trace(path)
    assert list(own_cache.iterdir()) == []


def test_the_traces_unused_for_longest_go_first(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"{i}.csv")
        paths[i].write_text("key\n" + "".join(f"{k}\n" for k in range(1000)))
        open_trace(paths[i])
    # The middle one was used longest ago, then the last, then the first.
    for age_s, i in ((300, 1), (200, 2), (100, 0)):
        (folder,) = own_cache.glob(f"{i}.csv-*")
        os.utime(folder, (1_000_000 - age_s, 1_000_000 - age_s))
    one = sum(file.stat().st_size for file in folder.iterdir())
    monkeypatch.setenv("EVICTLAB_CACHE_MAX", f"{int(2.5 * one)}B")
    store.prune(folder)
    assert sorted(place.name[:5] for place in own_cache.iterdir()) == ["0.csv", "2.csv"]
    monkeypatch.setenv("EVICTLAB_CACHE_MAX", "1B")
    (newest,) = own_cache.glob("2.csv-*")
    store.prune(newest)
    assert list(own_cache.iterdir()) == [newest]


def test_using_a_trace_counts(integers: Path, own_cache: Path) -> None:
    open_trace(integers)
    (folder,) = own_cache.iterdir()
    os.utime(folder, (1000, 1000))
    open_trace(integers)
    assert folder.stat().st_mtime > 1000


def test_leftovers_of_killed_processes_go_after_a_day(integers: Path, own_cache: Path) -> None:
    old, fresh = own_cache / "growing-old", own_cache / "growing-fresh"
    old.mkdir(parents=True)
    fresh.mkdir()
    os.utime(old, (1000, 1000))
    open_trace(integers)
    assert (old.exists(), fresh.exists()) == (False, True)


def test_two_processes_may_keep_the_same_trace(integers: Path) -> None:
    first = open_trace(integers)
    walk = opening.scan(integers)
    path = store.entry(walk.identity(), walk.label)
    store.keep(path, walk.batches(), walk.provenance())  # the other one was faster
    again = store.load(path)
    assert again is not None
    assert same(first, again)
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_keys_that_were_deleted_meanwhile(kind: str, request: pytest.FixtureRequest, own_cache: Path) -> None:
    trace = open_trace(request.getfixturevalue(kind))
    shutil.rmtree(own_cache)
    assert trace.n_requests == 50  # columns stay mapped
    with pytest.raises(TraceError, match="deleted meanwhile; open it again"):
        trace.keys  # noqa: B018


def test_a_file_column_is_a_numpy_file_of_the_right_length(tmp_path: Path) -> None:
    column = FileColumn(np.int64, tmp_path / "c.npy")
    column.append(np.arange(5, dtype=np.int64))
    column.append(np.arange(3, dtype=np.int32))
    column.finish()
    assert np.load(tmp_path / "c.npy").tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    with pytest.raises(StoreError, match="No such file"):
        FileColumn(np.int64, tmp_path / "nowhere" / "c.npy")


def test_the_provenance_is_readable(integers: Path, own_cache: Path) -> None:
    open_trace(integers, limit=30)
    (folder,) = own_cache.iterdir()
    facts = json.loads((folder / "trace.json").read_text())
    assert facts["provenance"]["sources"] == [str(integers)]
    assert facts["provenance"]["options"] == {"limit": 30}
