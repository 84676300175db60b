"""Predictions on the command line: who predicts, what is shown, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture
def trace(tmp_path):
    """600 requests with a column of bits, true for half of them."""
    rng = np.random.default_rng(3)
    keys = rng.zipf(1.2, 600) % 40
    path = tmp_path / "t.csv"
    path.write_text("key,my_bit\n" + "".join(f"{key},{int(key) % 2}\n" for key in keys))
    return path


def rows(result):
    return json.loads(result.stdout)["rows"]


def test_each_predictor_is_a_row_and_others_run_once(cli, trace):
    done = cli(
        "replay", trace, "--policy", "lru,mark0,mark_predict@truth", "--predict", "noisy:p=0.1,pleco", "--size", "5obj",
        "--seeds", "0:2", "--json",
    )  # fmt: skip
    found = [(row["policy"], row["seed"]) for row in rows(done)]
    assert found == [
        ("lru", 0),
        ("mark0@noisy:p=0.1", 0),
        ("mark0@noisy:p=0.1", 1),
        ("mark0@pleco", 0),
        ("mark0@pleco", 1),
        ("mark_predict@truth", 0),
        ("mark_predict@truth", 1),
    ]
    by_policy = {row["policy"]: row for row in rows(done)}
    assert by_policy["lru"]["predictor"] is None and by_policy["lru"]["eta0"] is None
    assert by_policy["mark0@pleco"]["predictor"] == "pleco"
    assert by_policy["mark_predict@truth"]["eta0"] == by_policy["mark_predict@truth"]["eta1"] == 0
    assert by_policy["mark0@noisy:p=0.1"]["eta0"] > 0


def test_a_deterministic_policy_runs_with_every_seed_of_a_random_predictor(cli, trace):
    done = cli("replay", trace, "-p", "blind_oracle@lognormal:sigma=3", "-s", "5obj", "--seeds", "0:3", "--json")
    assert [row["seed"] for row in rows(done)] == [0, 1, 2]
    assert all(row["eta"] > 0 for row in rows(done))


def test_the_table_says_how_much_worse_than_the_optimum(cli, trace):
    shown = cli("replay", trace, "-p", "flush_when_all_zeros,lru,belady", "--predict", "truth", "-s", "5obj").stdout
    assert "/ belady" in shown
    line = next(line for line in shown.splitlines() if line.startswith("flush"))
    assert line.split()[2] == "1.000"


def test_a_column_of_the_trace_predicts(cli, trace):
    done = cli(
        "replay", trace, "-p", "mark0", "--predict", "column", "--reader", "prediction=my_bit", "-s", "5obj", "--json"
    )
    assert rows(done)[0]["predictor"] == "column"
    assert "--predict column" in cli("trace", "info", trace, "--reader", "prediction=my_bit").stdout
    assert "prediction" in cli("trace", "head", trace, "--reader", "prediction=my_bit").stdout
    missing = cli("replay", trace, "-p", "mark0", "--predict", "column", "-s", "5obj", code=1)
    assert "--reader prediction=NAME" in missing.stderr


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".txt", ".parquet"])
def test_a_file_predicts(cli, trace, tmp_path, suffix):
    bits = np.arange(600) % 2
    path = tmp_path / f"bits{suffix}"
    if suffix == ".npy":
        np.save(path, bits)
    elif suffix == ".parquet":
        import pandas as pd

        pd.DataFrame({"bit": bits}).to_parquet(path)
    else:
        path.write_text("bit\n" * (suffix == ".csv") + "".join(f"{bit}\n" for bit in bits))
    found = rows(cli("replay", trace, "-p", "mark0", "--predict", f"file:{path}", "-s", "5obj", "--json"))[0]
    from evictlab.sim import replay

    assert found["misses"] == replay(trace, "mark0", "5obj", predict=bits).frame["misses"][0]


@pytest.mark.parametrize(
    "bits, reason",
    [
        ([0, 1, 1], "3 predictions for 600 requests"),
        ([0] * 599 + [2], "the prediction of request 599 is 2, which is neither 0 nor 1"),
        ([0] * 5 + [np.nan] + [1] * 594, "the prediction of request 5 is nan, which is not a number"),
    ],
)
def test_predictions_that_cannot_be_used_are_refused(cli, trace, tmp_path, bits, reason):
    np.save(tmp_path / "bits.npy", np.asarray(bits, float))
    refused = cli("replay", trace, "-p", "mark0", "--predict", f"file:{tmp_path / 'bits.npy'}", "-s", "5obj", code=1)
    assert reason in " ".join(refused.stderr.split())


def test_files_that_are_no_predictions_are_refused(cli, trace, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("1\nyes\n")
    assert "one column of numbers" in cli("replay", trace, "-p", "mark0", "--predict", f"file:{words}", code=1).stderr
    assert "No such file" in cli("replay", trace, "-p", "mark0", "--predict", "file:nowhere.npy", code=1).stderr
    np.save(tmp_path / "two.npy", np.zeros((600, 2)))
    two = cli("replay", trace, "-p", "mark0", "--predict", f"file:{tmp_path / 'two.npy'}", code=1)
    assert "has 2 columns" in two.stderr


def test_what_makes_no_sense_is_refused_with_the_way_out(cli, trace):
    assert "--predict pleco" in cli("replay", trace, "-p", "mark0", "-s", "5obj", code=2).stderr
    assert "nobody reads" in cli("replay", trace, "-p", "lru", "--predict", "pleco", code=2).stderr
    assert "reads no predictions" in cli("replay", trace, "-p", "lru@pleco", code=2).stderr
    assert "'pleco'" in cli("replay", trace, "-p", "mark0@plecco", code=2).stderr
    assert "is no probability" in cli("replay", trace, "-p", "mark0@noisy:p=2", code=2).stderr
    assert "combines two policies" in cli("replay", trace, "-p", "follow_leader", code=2).stderr
    assert "follow_leader+lru+lru" in cli("replay", trace, "-p", "follow_leader+lru", code=2).stderr


def test_requests_that_a_model_was_trained_on_are_not_counted(cli, trace):
    refused = cli("replay", trace, "-p", "mark0", "--predict", "learned", "-s", "5obj", code=1).stderr
    assert "trained on the first 300 of the 600 requests" in " ".join(refused.split()) and "--warmup 50%" in refused
    done = cli("replay", trace, "-p", "mark0,lru", "--predict", "learned", "--warmup", "50%", "-s", "5obj", "--json")
    assert [row["requests"] for row in rows(done)] == [300, 300]
    assert "trained on" in cli("curve", trace, "-p", "mark0@learned", code=1).stderr


def test_sizes_in_bytes_are_refused(cli, web):
    assert "--ignore-sizes" in cli("replay", web, "-p", "mark0@truth", "-s", "1KB", code=2).stderr
    cli("replay", web, "-p", "mark0@truth", "-s", "10%", "--ignore-sizes")


def test_predictors_are_listed_and_explained(cli):
    listed = cli("predictors").stdout
    for name in ("truth", "noisy", "lognormal", "pleco", "popu", "lru", "last_gap", "learned", "column"):
        assert name in listed
    assert max(map(len, listed.splitlines())) <= 80
    assert "threshold" in cli("predictors", "learned").stdout
    assert "pleco" in cli("predictors", "plecco", code=2).stderr
    names = [row["name"] for row in json.loads(cli("predictors", "--json").stdout)["predictors"]]
    assert "noisy" in names


def test_many_traces_are_one_table(cli, tmp_path):
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("".join(f"{(i * number) % 7}\n" for i in range(50)))
    shown = cli("replay", f"plain:{tmp_path}/*.txt", "-p", "lru,belady", "-s", "3obj").stdout
    if "all 9 traces together" not in shown:  # a pattern behind a format is one stream
        shown = cli("replay", *sorted(tmp_path.glob("*.txt")), "-p", "lru,belady", "-s", "3obj").stdout
    assert "all 9 traces together" in shown and "450 requests" in shown


def test_a_grid_may_say_who_predicts(cli, trace, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(
        'traces = ["t.csv"]\npolicies = ["mark0", "lru"]\nsizes = ["5obj"]\npredict = ["truth", "noisy:p=0.2"]\n'
        'output = "rows.parquet"\n'
    )
    shown = cli("sweep", grid, "--quiet", "--json").stdout
    assert [row["policy"] for row in json.loads(shown)["rows"]] == ["mark0@truth", "mark0@noisy:p=0.2", "lru"]


def test_a_changed_file_of_predictions_is_another_run(cli, trace, tmp_path):
    (tmp_path / "bits.txt").write_text("0\n" * 600)
    grid = tmp_path / "grid.toml"
    grid.write_text('traces = ["t.csv"]\npolicies = ["mark0"]\nsizes = ["5obj"]\npredict = ["file:bits.txt"]\n')
    first, second = (json.loads(cli("sweep", grid, "--quiet", "--json").stdout)["rows"][0] for _ in range(2))
    assert first["parameters"] == second["parameters"]
    (tmp_path / "bits.txt").write_text("1\n" * 600)
    third = json.loads(cli("sweep", grid, "--quiet", "--json").stdout)["rows"][0]
    assert third["parameters"] != first["parameters"] and third["predictor"] == first["predictor"] == "file:bits.txt"
