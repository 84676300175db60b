"""Opening: which files, which part of them, and what is said when there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evictlab.traces import open_trace, scan
from evictlab.traces.errors import CapabilityError, EvictlabError, TraceError, UsageError
from evictlab.traces.files import expand
from evictlab.traces.selection import Selection


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVICTLAB_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Two days: keys 1 2 1 at 0, 10, 20 s, and 2 3 at 30, 40 s."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "day1.csv").write_text("time_s,key,size\n0,1,5\n10,2,5\n20,1,5\n")
    (folder / "day2.csv").write_text("time_s,key,size\n30,2,5\n40,3,5\n")
    return folder


def test_several_files_are_one_stream(logs: Path) -> None:
    trace = open_trace([logs / "day1.csv", logs / "day2.csv"])
    assert trace.ids.tolist() == [0, 1, 0, 1, 2]
    assert trace.keys.tolist() == [1, 2, 3]
    assert trace.name == "day1.csv + 1 more"
    assert trace.provenance.account.records == 5
    assert trace.provenance.sources == (str(logs / "day1.csv"), str(logs / "day2.csv"))


def test_patterns_that_the_shell_left_alone(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [str(logs / "day1.csv"), str(logs / "day2.csv")]
    assert expand(str(logs / "*.csv")) == both
    assert expand(f"csv:{logs}/day?.csv") == [f"csv:{path}" for path in both]
    monkeypatch.chdir(logs.parent)
    assert expand("logs/*[2].csv") == ["logs/day2.csv"]
    assert open_trace("logs/*.csv").n_requests == 5


def test_a_file_whose_name_looks_like_something_else(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(logs)
    for name in ("csv:x", "day[1].csv"):
        (logs / name).write_text("key,size\n7,1\n")
        assert expand(name) == [name]
        assert open_trace(name).keys.tolist() == [7]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{logs}/*.parquet", "no file in '{logs}' matches '*.parquet'"),
        ("{logs}/nowhere/*.csv", "there is no folder '{logs}/nowhere'"),
        ("{logs}", "{logs} is a folder; name its files, for example '{logs}/*'"),
        ([], "no trace is named"),
    ],
)
def test_no_file_is_meant(logs: Path, source: Any, words: str) -> None:
    if isinstance(source, str):
        source = source.format(logs=logs)
    with pytest.raises(UsageError) as error:
        open_trace(source)
    assert words.format(logs=logs) in str(error.value)


def test_a_missing_file_is_named_with_its_neighbour(logs: Path) -> None:
    with pytest.raises(TraceError, match=r"day3\.csv: no such file.*Did you mean 'day"):
        open_trace(logs / "day3.csv")


def test_files_of_different_kinds_do_not_mix(logs: Path) -> None:
    (logs / "names.csv").write_text("time_s,key,size\n50,/index.html,3\n")
    with pytest.raises(TraceError, match="integers in one part of the trace and strings in another"):
        open_trace([logs / "day1.csv", logs / "names.csv"])


def test_predictions_of_several_files(logs: Path) -> None:
    for name in ("day1.csv", "day2.csv"):
        lines = (logs / name).read_text().split()
        given = [f"{line},{line.split(',')[0]}" for line in lines[1:]]  # the time, so that it can be recognised
        (logs / name).write_text("\n".join([f"{lines[0]},my_bit", *given, ""]))
    both = str(logs / "*.csv")
    for cache in (True, False):
        trace = open_trace(both, cache=cache, prediction="my_bit")
        assert trace.predictions is not None
        assert trace.predictions.tolist() == [0, 10, 20, 30, 40]
        assert open_trace(both, cache=cache).predictions is None
        part = open_trace(both, cache=cache, prediction="my_bit", start_s=10.0, limit=4)
        assert part.predictions is not None
        assert part.predictions.tolist() == [10, 20, 30]


def test_predictions_in_only_some_of_the_files(logs: Path) -> None:
    (logs / "day3.csv").write_text("time_s,key,size,prediction\n50,1,5,1\n")
    with pytest.raises(TraceError, match=r"has sizes and times, another has sizes and times and predictions"):
        open_trace(str(logs / "*.csv"))
    assert open_trace(str(logs / "*.csv"), prediction="none").n_requests == 6


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"limit": 2}, [1, 2]),
        ({"limit": 4}, [1, 2, 1, 2]),
        ({"limit": 99}, [1, 2, 1, 2, 3]),
        ({"start_s": 10.0}, [2, 1, 2, 3]),
        ({"stop_s": 30.0}, [1, 2, 1]),
        ({"start_s": 10.0, "stop_s": 31.0}, [2, 1, 2]),
        ({"sample": 1.0}, [1, 2, 1, 2, 3]),
    ],
)
def test_a_part_of_the_trace(logs: Path, options: dict[str, Any], keys: list[int]) -> None:
    for cache in (True, False):
        trace = open_trace(str(logs / "*.csv"), cache=cache, **options)
        assert trace.keys[trace.ids].tolist() == keys
        assert trace.provenance.options == options


def test_only_what_is_needed_is_read(logs: Path) -> None:
    (logs / "day2.csv").write_text("time_s,key,size\n" + "50,5,no size\n" * 99)
    both = str(logs / "*.csv")
    with pytest.raises(TraceError, match=r"day2\.csv"):
        open_trace(both)
    assert open_trace(both, limit=3).n_requests == 3
    assert open_trace(both, stop_s=20.0).n_requests == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, "at least 1"),
        ({"sample": 0.0}, "above 0 and at most 1"),
        ({"sample": 1.5}, "above 0 and at most 1"),
        ({"stop_s": 0.0}, "no request lies from 0 s on and before 0 s"),
        ({"start_s": 60.0, "stop_s": 30.0}, "no request lies from 60 s on"),
        ({"split_bytes": 0}, "at least 1"),
        ({"start_s": 1e9}, "has no requests"),
        ({"split_bytes": 4096}, "address_bytes=1 for byte addresses, 512 for sectors"),
    ],
)
def test_parts_that_make_no_sense(logs: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(EvictlabError, match=words):
        open_trace(logs / "day1.csv", **options)


def test_a_time_range_needs_times(logs: Path) -> None:
    (logs / "timeless.csv").write_text("key\n1\n2\n")
    with pytest.raises(CapabilityError, match="needs the times"):
        open_trace(logs / "timeless.csv", start_s=1.0)


def test_splitting_takes_the_step_of_the_format_or_of_the_user(tmp_path: Path) -> None:
    # One request for 5 KiB from byte 4096 on: blocks 1 and 2 of 4 KiB. In sectors of 512 B it starts at block 512.
    (tmp_path / "a.csv").write_text("key,size\n4096,5120\n")
    assert open_trace(tmp_path / "a.csv", split_bytes=4096, address_bytes=1).keys.tolist() == [1, 2]
    trace = open_trace(tmp_path / "a.csv", split_bytes=4096, address_bytes=512)
    assert trace.keys.tolist() == [512, 513]
    assert trace.sizes.tolist() == [4096, 4096]
    # SPC counts sectors of 512 B, and says so itself.
    (tmp_path / "a.spc").write_text("".join(f"0,{8 * i},8192,r,{i}.0\n" for i in range(3)))
    spc = open_trace(f"spc:{tmp_path / 'a.spc'}", split_bytes=4096)
    assert spc.n_requests == 6
    assert spc.n_objects == 4


def test_scan_walks_without_numbering(logs: Path) -> None:
    walk = scan([logs / "day1.csv", logs / "day2.csv"], selection=Selection(limit=4))
    assert [key for batch in walk.batches() for key in batch.keys.tolist()] == [1, 2, 1, 2]
    assert walk.account.records == 5  # read, whether taken or not
    assert [key for batch in walk.batches() for key in batch.keys.tolist()] == [1, 2, 1, 2]
