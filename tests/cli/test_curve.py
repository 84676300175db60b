"""``evictlab curve``."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from evictlab.sim import replay
from evictlab.sim.curves import curve
from evictlab.traces import open_trace


def table_of(text: str) -> dict[str, list[str]]:
    """Words of each line of the table, by what the size is of the footprint."""
    lines = [line.split() for line in text.splitlines()[3:]]
    return {line[2]: line[3:] for line in lines}


def test_the_exact_curve_is_what_replays_give(cli, web):
    text = cli("curve", web, "--ignore-sizes", "--points", 4, "-s", "10%,25%,50%,100%").stdout
    assert "lru exact" in text
    ratios = replay(str(web), "lru", "10%,25%,50%,100%", ignore_sizes=True).frame["miss_ratio"]
    table = table_of(text)
    assert [table[size][0] for size in ("10%", "25%", "50%", "100%")] == [f"{100 * ratio:.2f}" for ratio in ratios]
    assert table["10%"][1] == "█" * round(30 * ratios[0])


def test_the_table_is_even_and_the_file_has_every_size(cli, web, tmp_path):
    path = tmp_path / "curve.csv"
    text = cli("curve", web, "--ignore-sizes", "--points", 4, "-o", path, "--plot", tmp_path / "picture.svg").stdout
    assert list(table_of(text)) == ["2.5%", "10%", "100%"]  # 0.1 % and 1 % of 40 objects are one object
    found = curve(open_trace(web, cache=False), ignore_sizes=True)
    frame = pd.read_csv(path)
    assert np.allclose(frame["miss_ratio"], found.miss_ratio)
    assert frame["capacity_objects"].tolist() == found.capacities.tolist()
    assert "<svg" in (tmp_path / "picture.svg").read_text()


def test_policies_side_by_side(cli, web):
    text = cli("curve", web, "--ignore-sizes", "-p", "lru,fifo", "-s", "10obj,20obj").stdout
    assert text.splitlines()[2].split() == ["size", "of", "all", "lru", "fifo"]
    assert ["10", "obj", "25%", "50.50", "55.00"] in [line.split() for line in text.splitlines()]


def test_json_is_one_document(cli, web):
    document = json.loads(cli("curve", web, "--json", "--sample", "100%", "-s", "1KiB,2KiB").stdout)
    assert [row["capacity_bytes"] for row in document["rows"]] == [1024, 2048]
    assert document["rows"][0]["capacity_objects"] is None
    assert document["traces"]["web.csv"]["records"] == 200


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        (["-m", "cost"], "evictlab replay --metric cost"),
        (["-m", "bytes", "--ignore-sizes"], "unknown metric 'byte_miss_ratio'"),
        (["--sample", "0.5"], "'0.5' is not a percentage"),
        (["--sample", "fixed-size:x"], "sample 'fixed-size:x'"),
        (["-s", "10obj,1KiB"], "in objects or in bytes"),
        (["-p", "seive"], "Did you mean 'sieve'"),
        (["-o", "a.xls"], "must end in"),
    ],
)
def test_what_makes_no_sense(cli, web, words, lesson):
    result = cli("curve", web, *words, code=2)
    assert lesson in result.stderr
    assert result.stdout == ""
