"""Sweeps: the file, the journal that loses nothing, and the same rows on Ray."""

from __future__ import annotations

import pytest

from evictlab.experiments.journal import Journal
from evictlab.experiments.sweep import Grid, parse_seeds, run_sweep
from evictlab.sim import Result
from evictlab.traces.errors import UsageError

from conftest import ROOT

SWEEP = """
traces = ["*.lis", "zipf:requests=2000,objects=200,seed=1"]
policies = ["lru", "random"]
sizes = ["1%", "10%"]
seeds = "0:2"
output = "rows.parquet"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sweep.toml").write_text(SWEEP)
    (tmp_path / "a.lis").write_text("".join(f"{k % 7} 3 0 {k}\n" for k in range(300)))
    return tmp_path


def comparable(result: Result):
    """Rows without what is measured by a clock."""
    return result.frame.drop(columns=["cpu_s", "requests_per_s"])


def test_a_sweep_is_the_whole_grid(folder):
    result = run_sweep(folder / "sweep.toml")
    assert len(result) == 2 * 2 * (1 + 2)  # traces x sizes x (lru once, random with two seeds)
    assert comparable(Result.read(folder / "rows.parquet")).equals(comparable(result))
    assert not list(folder.glob(".*journal"))


def test_an_interrupted_sweep_goes_on_where_it_was(folder):
    whole = run_sweep(folder / "sweep.toml", output=folder / "whole.parquet")
    with pytest.raises(KeyboardInterrupt):
        run_sweep(folder / "sweep.toml", progress=_interrupt_after(4), threads=1)
    assert not (folder / "rows.parquet").exists()
    with pytest.raises(UsageError, match="--resume"):
        run_sweep(folder / "sweep.toml")
    journal = folder / ".rows.parquet.journal"
    finished = journal.read_text().count("\n")
    assert finished > 0
    journal.write_text(journal.read_text() + '{"key": "torn')  # what a power cut leaves
    resumed = run_sweep(folder / "sweep.toml", resume=True)
    assert comparable(resumed).equals(comparable(whole))
    assert not journal.exists()


def test_rows_of_a_trace_that_was_changed_meanwhile_are_not_taken_over(folder):
    with pytest.raises(KeyboardInterrupt):
        run_sweep(folder / "sweep.toml", progress=_interrupt_after(3), threads=1)
    (folder / "a.lis").write_text("".join(f"{k % 5} 3 0 {k}\n" for k in range(300)))
    fresh = run_sweep(folder / "sweep.toml", output=folder / "fresh.parquet")
    assert comparable(run_sweep(folder / "sweep.toml", resume=True)).equals(comparable(fresh))


def _interrupt_after(calls):
    told = []

    def interrupt(requests):
        told.append(requests)
        if len(told) > calls:
            raise KeyboardInterrupt

    return interrupt


def test_the_journal_is_on_disk_after_every_run(tmp_path):
    output = tmp_path / "rows.parquet"
    with Journal(output, resume=False) as journal:
        journal.add("one", [{"hits": 1}])
        journal.add("two", [{"hits": 2}])
        with Journal(output, resume=True) as seen:
            assert seen.finished == {"one": [{"hits": 1}], "two": [{"hits": 2}]}


def test_a_run_without_a_finished_row_leaves_no_journal(tmp_path):
    with Journal(tmp_path / "rows.parquet", resume=False):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('polices = ["lru"]', "polices"),
        ("sizes = 3", "sizes"),
        ('seeds = "0:"', "seeds"),
        ("= 3", "no TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_field(tmp_path, line, said):
    (tmp_path / "sweep.toml").write_text(f'traces = ["x"]\npolicies = ["lru"]\n{line}\n')
    with pytest.raises(UsageError, match=said):
        Grid.read(tmp_path / "sweep.toml")


def test_a_glob_without_a_match_names_the_folder(folder):
    (folder / "sweep.toml").write_text(SWEEP.replace("*.lis", "*.absent"))
    with pytest.raises(UsageError, match=str(folder)):
        run_sweep(folder / "sweep.toml")


def test_seeds():
    assert parse_seeds("0:3") == [0, 1, 2]
    assert parse_seeds("7,1") == [7, 1]
    for text in ("", "3:3", "a", "-1", "1:2:3"):
        with pytest.raises(UsageError, match="seeds"):
            parse_seeds(text)


@pytest.mark.ray
@pytest.mark.slow
def test_ray_gives_the_same_rows_plug_in_included(folder, tmp_path_factory, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'evictlab[ray]'")
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # Ray keeps a token there
    plugin = ROOT / "experiments" / "examples" / "my_lru.py"
    (folder / "sweep.toml").write_text(SWEEP.replace('"random"', f'"{plugin}", "random"'))
    here = run_sweep(folder / "sweep.toml", output=folder / "here.parquet")
    there = run_sweep(folder / "sweep.toml", on="ray")
    assert comparable(there).equals(comparable(here))
    mine = here.frame[here.frame["policy"].isin(["lru", "my_lru"])]
    assert set(mine["policy"]) == {"lru", "my_lru"}
    assert mine.groupby(["trace", "capacity"])["hits"].nunique().eq(1).all()
