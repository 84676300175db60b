"""``evictlab rl``: from generated logs to a model, a judgement of it, and a bundle."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("onnxruntime")

LOGS = [f"trap:requests=4000,seed={seed}" for seed in (70, 71)]
QUICK = ("--warm-start", 1000, "--fit-steps", 150, "--decisions", 0, "--ttl", "trace", "--size", "20MB")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model from two short logs, trained once."""
    from typer.testing import CliRunner

    from evictlab.experiments.cli.main import app

    folder = tmp_path_factory.mktemp("rl") / "model"
    result = CliRunner().invoke(app, [str(word) for word in ("rl", "train", *LOGS, *QUICK, "--out", folder, "--json")])
    assert result.exit_code == 0, result.output
    history = json.loads(result.stdout)
    assert history["finished"]
    assert [entry["stage"] for entry in history["judged"]] == ["warm start", "warm start"]
    return folder


def test_what_is_written(model):
    assert {"model.onnx", "metadata.json", "parity.npz", "training.json", "tensorboard"} <= {
        p.name for p in model.iterdir()
    }
    trained = json.loads((model / "metadata.json").read_text())["trained"]
    assert trained["traces"] == LOGS
    assert "--fit-steps 150" in trained["command"]
    assert list((model / "tensorboard").iterdir())


def test_a_second_call_has_nothing_left_to_do(cli, model):
    before = (model / "model.onnx").stat().st_mtime_ns
    result = cli("rl", "train", *LOGS, *QUICK, "--out", model)
    assert "20MB" in result.stdout
    assert (model / "model.onnx").stat().st_mtime_ns == before
    assert "--anew" in cli("rl", "train", *LOGS, *QUICK, "--seed", 3, "--out", model, code=2).stderr


def test_it_is_judged_beside_all_online_policies(cli, model):
    rows = json.loads(
        cli("rl", "evaluate", model, "trap:requests=4000,seed=5", "--ttl", "trace", "--size", "20MB", "--json").stdout
    )["evaluated"]
    ratio = {row["policy"]: row["hit_ratio"] for row in rows}
    assert {"lru", "gdsf", "sieve", "s3fifo", "wtinylfu", "lhd"} <= set(ratio)
    assert "belady" not in ratio
    assert {row["policy"] for row in rows if row["learned"]} == {f"cold_rl:{model}"}
    assert ratio[f"cold_rl:{model}"] > ratio["lru"]


def test_what_loses_is_said(cli, model):
    text = cli(
        "rl", "evaluate", model, "trap:requests=4000,seed=5", "--size", "20MB", "--policy", "lru,belady_size"
    ).stdout
    assert "20MB: 1 are better, belady_size by" in text


def test_what_it_was_trained_on_is_not_counted(cli, model):
    said = cli("rl", "evaluate", model, LOGS[0], "--size", "20MB", code=2).stderr
    assert "trained or judged on the whole of it" in " ".join(said.split())


def test_of_a_single_log_the_end_is_left_to_count(cli, tmp_path):
    one = "trap:requests=6000,seed=80"
    cli("rl", "train", one, *QUICK, "--out", tmp_path / "m", "-q")
    rows = json.loads(cli("rl", "evaluate", tmp_path / "m", one, "--size", "20MB", "--policy", "lru", "--json").stdout)
    assert {row["counted"] for row in rows["evaluated"]} == {900}


def test_export_makes_a_bundle_that_is_sound(cli, model, tmp_path):
    from evictlab.rl.sidecar import load_model

    made = cli("rl", "export", model, "--out", tmp_path / "bundle")
    assert made.stdout.strip() == str(tmp_path / "bundle")
    load_model(tmp_path / "bundle")
    assert (tmp_path / "bundle" / "module" / "config").is_file()
    assert cli("rl", "export", "trap", "--out", tmp_path / "shipped").exit_code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--size", "25"), "has no unit"),
        (("--size", "20MB", "--network", "deep"), "unknown network 'deep'"),
        (("--size", "20MB", "--features", "colour"), "unknown feature 'colour'"),
        (("--size", "20MB,5obj"), "all in bytes, or all in objects"),
        (("--size", "2GB"), "evictions to learn from"),
        (("--size", "20MB", "--k", "65"), "k <= 64"),
    ],
)
def test_what_makes_no_sense(cli, tmp_path, words, says):
    said = cli("rl", "train", *LOGS, *words, "--out", tmp_path / "m", code=2).stderr
    assert says in " ".join(said.split())
