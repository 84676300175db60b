"""``evictlab sweep`` and ``evictlab report``."""

from __future__ import annotations

import json
import re

import pytest

from evictlab.sim import Result

GRID = """
traces = ["*.csv", "zipf:requests=500,objects=50,seed=1"]
policies = ["lru", "fifo"]
sizes = ["10obj", "20obj"]
ignore_sizes = true
output = "rows.parquet"
"""


@pytest.fixture
def grid(web):
    path = web.with_name("grid.toml")
    path.write_text(GRID)
    return path


def test_a_sweep_prints_and_keeps_its_table(cli, grid):
    text = cli("sweep", grid).stdout
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("web", "zipf"))] == [
        "web.csv",
        "zipf:requests=500,objects=50,seed=1",
    ]
    assert "\nlru     50.50 " in text
    assert len(Result.read(grid.with_name("rows.parquet"))) == 8
    document = json.loads(cli("sweep", grid, "--json", "-o", grid.with_name("b.parquet")).stdout)
    assert len(document["rows"]) == 8


def test_a_dry_run_replays_nothing(cli, grid):
    text = " ".join(cli("sweep", grid, "--dry-run").stdout.split())
    assert "sizes 10obj, 20obj policies lru, fifo replays 4" in text
    assert "8 replays of 2.8k requests in all" in text
    assert not grid.with_name("rows.parquet").exists()


def test_an_unfinished_sweep_is_resumed_on_request(cli, grid, monkeypatch):
    from evictlab.experiments import sweep as module

    whole = module.run_all

    def interrupted(runs, **options):
        for count, done in enumerate(whole(runs, **options)):
            if count == 3:
                raise KeyboardInterrupt
            yield done

    monkeypatch.setattr(module, "run_all", interrupted)
    assert f"evictlab sweep {grid} --resume" in cli("sweep", grid, code=130).stderr
    assert not grid.with_name("rows.parquet").exists()
    assert "(--resume)" in cli("sweep", grid, code=2).stderr
    told = []
    monkeypatch.setattr(module, "run_all", lambda runs, **options: told.append(len(runs)) or whole(runs, **options))
    cli("sweep", grid, "--resume")
    assert told == [5]
    assert len(Result.read(grid.with_name("rows.parquet"))) == 8


def test_a_report_is_one_page(cli, grid):
    cli("sweep", grid)
    page = grid.with_name("page.html")
    result = cli("report", grid.with_name("rows.parquet"), "-o", page, "--title", "My <caches>")
    assert result.stderr == f"evictlab: wrote {page}\n"
    text = page.read_text()
    assert "My &lt;caches&gt;" in text
    assert "<svg" in text
    assert not re.search(r"(src|href)=.https?:", text)  # nothing is fetched when it is opened
    assert "must end in .html" in cli("report", grid.with_name("rows.parquet"), "-o", "a.txt", code=2).stderr


def test_a_gate_fails_with_3_and_says_where(cli, grid, monkeypatch):
    cli("sweep", grid)
    monkeypatch.chdir(grid.parent)
    assert cli("report", "rows.parquet", "--fail-if", "lru.miss_ratio > fifo").stderr == ""
    result = cli("report", "rows.parquet", "--fail-if", "fifo.miss_ratio > lru", code=3)
    assert "gate failed: web.csv at 10obj: fifo.miss_ratio = 0.550000 > 0.505000" in result.stderr
    assert not (grid.parent / "report.html").exists()  # gates alone write no page
    assert "is not of the form" in cli("report", "rows.parquet", "--fail-if", "lru", code=2).stderr
    assert (
        "unknown policy in these results 'arc'"
        in cli("report", "rows.parquet", "--fail-if", "arc.miss_ratio > 0.5", code=2).stderr
    )
    cli("report", "rows.parquet")
    assert (grid.parent / "report.html").exists()
