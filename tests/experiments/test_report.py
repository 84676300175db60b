"""The report and its verdicts."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from evictlab.experiments.report import write_report
from evictlab.experiments.verdict import Gate, gains, winners
from evictlab.sim import Result, replay
from evictlab.traces import RequestTrace
from evictlab.traces.errors import ResultError, UnknownNameError, UsageError


@pytest.fixture(scope="module")
def result() -> Result:
    rng = np.random.default_rng(5)
    traces = [
        RequestTrace.from_columns(rng.zipf(1.3, 2000) % 300, sizes=rng.integers(1, 9, 2000), name=f"t<{k}>")
        for k in range(3)
    ]
    return replay(traces, "lru,sieve,fifo,belady", "1%,10%", ignore_sizes=True)


def test_winners_leave_the_future_out(result):
    table = winners(result, "miss_ratio")
    assert len(table) == 6
    assert not table["best"].str.startswith("belady").any()
    assert (table["offline"] <= table["value"]).all()
    assert (table["lead"] >= 0).all()


def test_gains_are_relative_to_the_baseline(result):
    table = gains(result, "miss_ratio", "lru").set_index("policy")
    assert table.loc["lru", ["mean", "worst"]].tolist() == [0, 0]
    frame = result.frame.pivot_table(index=["trace", "capacity"], columns="policy", values="miss_ratio")
    relative = 1 - frame["sieve"] / frame["lru"]
    assert table.loc["sieve", "mean"] == pytest.approx(relative.groupby("trace").mean().mean())
    assert table.loc["sieve", "low"] <= table.loc["sieve", "mean"] <= table.loc["sieve", "high"]
    assert table["wins"].sum() == 6
    with pytest.raises(UnknownNameError, match="lru"):
        gains(result, "miss_ratio", "lr")


def test_the_page_is_one_file_that_needs_nothing_else(result, tmp_path):
    rows = result.to_parquet(tmp_path / "rows.parquet")
    page = write_report([rows], tmp_path / "report.html", title="A <title>").read_text()
    assert not re.search(r'(src|href)="(?!#)', page.replace("xlink:href", "x"))
    assert "A &lt;title&gt;" in page
    assert "t&lt;0&gt;" in page
    assert page.count("<svg") == 3
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ET.fromstring(svg)


def test_a_report_of_nothing_is_an_error(tmp_path):
    with pytest.raises(ResultError, match="no results file"):
        write_report([tmp_path / "absent.parquet"], tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_gates(result):
    assert Gate.parse("sieve.miss_ratio > 1").failures(result) == []
    assert len(Gate.parse("sieve.miss_ratio>0").failures(result)) == 6
    assert Gate.parse("lru.miss_ratio < belady").failures(result) == []
    assert "t<0> at 1%" in Gate.parse("lru.miss_ratio > belady").failures(result)[0]
    for text, error in (("sieve > 1", UsageError), ("sieve.hits > 1", UnknownNameError)):
        with pytest.raises(error):
            Gate.parse(text)
    with pytest.raises(UnknownNameError, match="sieve"):
        Gate.parse("seive.miss_ratio > 1").failures(result)
