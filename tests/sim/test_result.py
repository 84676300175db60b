"""The table: what is in it, what it looks like, and that it comes back from disk."""

from __future__ import annotations

import json
import os
import resource

import numpy as np
import pytest

from evictlab.sim import Result, replay
from evictlab.sim.plot import plot_windows, save_figure, style_of
from evictlab.traces import RequestTrace
from evictlab.traces.errors import ResultError, UnknownNameError


@pytest.fixture(scope="module")
def result() -> Result:
    rng = np.random.default_rng(5)
    traces = [
        RequestTrace.from_columns(rng.zipf(1.3, 3000) % 300, times=np.arange(3000.0), name=f"t{k}") for k in range(2)
    ]
    return replay(traces, "lru,sieve,random", "1%,10%", seeds=[0, 1], window="1000s")


def test_comes_back_from_parquet_as_it_was(result, tmp_path):
    back = Result.read(result.to_parquet(tmp_path / "rows.parquet"))
    assert back.frame.equals(result.frame)
    assert back.windows.equals(result.windows)
    assert back.provenance == result.provenance


def test_json_has_no_nan_and_all_rows(result):
    document = json.loads(result.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert document["schema"] == 1
    assert len(document["rows"]) == len(result) == 16
    assert len(document["windows"]) == 3 * 16
    assert document["rows"][0]["byte_miss_ratio"] is None


def test_best_is_the_lowest_mean_over_seeds(result):
    best = result.best()
    frame = result.frame[(result.frame["trace"] == "t0") & (result.frame["capacity"] == "10%")]
    lowest = frame.groupby("policy")["miss_ratio"].mean().idxmin()
    assert best.loc[(best["trace"] == "t0") & (best["capacity"] == "10%"), "policy"].tolist() == [lowest]


def test_an_unknown_metric_names_those_that_there_are(result):
    with pytest.raises(UnknownNameError, match="miss_ratio"):
        result.plot("hit_rate")
    with pytest.raises(UnknownNameError, match="miss_ratio"):
        result.best("byte_miss_ratio")


def test_shows_itself_in_a_notebook(result):
    html = result._repr_html_()
    assert "<table" in html
    assert "sieve" in html
    assert "sieve" in repr(result)


def test_pictures_have_a_line_per_policy_and_their_data_beside(result, tmp_path):
    figure = result.plot()
    lines = {line.get_label() for line in figure.axes[0].lines}
    assert lines == {"lru", "sieve", "random"}
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xticks().tolist() == sorted(result.frame["capacity_objects"][:8].unique())
    save_figure(figure, tmp_path / "curve.svg", result.frame)
    save_figure(plot_windows(result), tmp_path / "windows.png", result.windows)
    assert {path.name for path in tmp_path.iterdir()} == {"curve.svg", "curve.csv", "windows.png", "windows.csv"}
    with pytest.raises(ResultError, match="png"):
        save_figure(figure, tmp_path / "curve.jpgg", result.frame)


def test_one_capacity_is_drawn_as_bars():
    trace = RequestTrace.from_columns([0, 1, 0, 2], name="t")
    assert len(replay(trace, "lru,sieve", "2obj").plot().axes[0].patches) == 2


def test_a_policy_keeps_its_colour_whatever_its_parameters():
    assert style_of("s3fifo:small=0.2")["color"] == style_of("s3fifo")["color"]
    assert style_of("s3fifo:small=0.2")["linestyle"] != style_of("s3fifo")["linestyle"]
    assert style_of("unheard_of") == style_of("unheard_of")


def test_reading_something_else_is_an_error(tmp_path):
    junk = tmp_path / "junk.parquet"
    junk.write_bytes(b"junk")
    with pytest.raises(ResultError, match="not a results file"):
        Result.read(junk)
    with pytest.raises(ResultError, match="no results file"):
        Result.read(tmp_path / "absent.parquet")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(result, tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"old")
    child = os.fork()
    if child == 0:  # the limit on file sizes cannot be taken back, so it is set in a process of its own
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            import signal

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            result.to_parquet(path)
        except ResultError as error:
            status = 0 if "cannot write" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["rows.parquet"]
