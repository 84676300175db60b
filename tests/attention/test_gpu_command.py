"""The whole model under eviction, and the command ``evictlab check gpu attention``, where little more than torch is."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import typer
from tiny_gguf import network, write_gguf
from typer.testing import CliRunner

from evictlab.experiments.checks.attention import main as alone
from evictlab.experiments.checks.attention import try_out
from evictlab.experiments.cli.check_gpu import commands
from evictlab.experiments.cli.guard import Command
from evictlab.sim.check import attention as checking
from evictlab.sim.check.gpu.closed_loop import read_text, run_closed_loop
from evictlab.traces.attention import random_attention, write_attention
from evictlab.traces.errors import CapabilityError, UsageError
from evictlab.traces.record.attention import load_model

SHAPE = {"layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "prompt": 64, "decode": 12}


pytestmark = pytest.mark.usefixtures("one_thread")


# The whole model.


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    model = load_model(write_gguf(network("llama"), tmp_path_factory.mktemp("gguf") / "tiny.gguf", "llama"))
    tokens = np.random.default_rng(8).integers(1, 200, 60)
    return read_text(model, tokens, 40)


def test_a_model_with_all_slots_is_the_model(text):
    run = run_closed_loop(text, "full", "100%")
    assert run.nll == pytest.approx(run.full_nll, abs=1e-4)
    assert run.agree.all()
    assert (run.jaccard == 1).all()
    assert run.parted.tolist() == [-1, -1]
    assert run.error.max() < 1e-4


@pytest.mark.parametrize("policy", ["tova", "snapkv:window=4", "streaming_llm"])
def test_the_first_layer_is_exact_in_the_open_loop_and_later_ones_are_not(policy, text):
    run = run_closed_loop(text, policy, "12")
    assert (run.jaccard[:, 0] == 1).all()
    assert run.error[:, 0] == pytest.approx(run.open_error[:, 0], abs=1e-4)
    assert run.error[:, 0].max() > 0.01
    assert not np.allclose(run.error[:, 1], run.open_error[:, 1], atol=1e-3)
    if policy == "tova":  # it decides while decoding, by what the layer before has made of the text
        assert run.parted[1] >= 0
        assert run.jaccard[run.parted[1], 1] < 1
        assert (run.jaccard[: run.parted[1], 1] == 1).all()
    else:
        assert (run.jaccard == 1).all()
    assert np.abs(run.nll - run.full_nll).max() > 1e-3
    assert len(run.nll) == 19


def test_an_oracle_cannot_run_in_a_model(text):
    with pytest.raises(CapabilityError, match="not in a model"):
        run_closed_loop(text, "oracle", "12")


def test_a_prompt_that_leaves_nothing_to_predict_is_refused(text):
    with pytest.raises(UsageError, match="at least 2"):
        read_text(text.model, text.token_ids, 59)


# The command.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "random"
    write_attention(random_attention(4, **SHAPE, dtype="float16"), path)
    return path


def cli(*words, code=0):
    app = typer.Typer()
    app.command("attention", cls=Command)(commands["attention"])
    app.command("other")(lambda: None)  # with one command alone its name would not be given
    result = CliRunner().invoke(app, ["attention", *map(str, words)])
    assert result.exit_code == code, f"{result.exit_code}: {result.stdout}{result.stderr}"
    assert "Traceback" not in result.stdout + result.stderr
    return result


def few(folder, tmp_path, *more):
    return (
        folder,
        "--device",
        "cpu",
        "--policy",
        "window,tova",
        "--budget",
        "24",
        "--repeats",
        0,
        "--out",
        tmp_path,
        *more,
    )


def test_the_command_writes_page_numbers_and_picture(folder, tmp_path):
    result = cli(*few(folder, tmp_path, "--weights", "none"))
    assert [line.split()[:4] for line in result.stdout.splitlines() if "equal" in line] == [
        ["window", "24", "equal", "equal"],
        ["tova", "24", "equal", "equal"],
    ]
    held = json.loads((tmp_path / "attention.json").read_text())
    assert held["passed"] is True
    assert {"command", "commit", "machine", "versions"} <= set(held["stamp"])
    assert "torch" in held["stamp"]["versions"]
    assert (held["kind"], held["dtype"], held["trace"]) == ("cpu", "float16", "random")
    sets = [row for row in held["rows"] if row["quantity"] == "retained sets"]
    assert [(row["policy"], row["predicted"], row["measured"]) for row in sets] == [
        ("window", 48, 48),
        ("tova", 48, 48),
    ]
    page = (tmp_path / "attention.md").read_text()
    assert "| window | 24 | 48 of 48 |" in page
    assert (tmp_path / "attention.png").stat().st_size > 1000


def test_json_is_one_document_on_stdout(folder, tmp_path):
    result = cli(*few(folder, tmp_path, "--json", "--quiet", "--weights", "none"))
    assert json.loads(result.stdout)["schema"] == 1
    assert result.stderr == ""


def test_a_contradicted_prediction_ends_in_exit_code_3(folder, tmp_path, monkeypatch):
    right = checking.predict

    def wrong(ready, policy, *given):
        told = right(ready, policy, *given)
        if told.run.policy == "tova":
            told.run.resident_bytes[3] += 64
        return told

    monkeypatch.setattr(checking, "predict", wrong)
    result = cli(*few(folder, tmp_path, "--weights", "none"), code=3)
    assert "tova, 24: resident bytes, mean differs" in result.stderr
    assert json.loads((tmp_path / "attention.json").read_text())["passed"] is False
    assert "**differs**" in (tmp_path / "attention.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_command_says_so_and_names_the_processor(folder, tmp_path):
    result = cli(folder, "--out", tmp_path / "none", code=2)
    assert "CUDA" in result.stderr
    assert "--device cpu" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("words", "said"), [(["--device", "tpu"], "neither cuda nor cpu"), (["--attention", "x"], "sdpa")]
)
def test_a_word_that_means_nothing_is_refused(words, said, folder, tmp_path):
    assert said in cli(folder, "--out", tmp_path / "none", *words, code=2).stderr


@pytest.fixture
def no_work(monkeypatch):
    def work(*given, **options):
        raise AssertionError("it has begun to work")

    monkeypatch.setattr(checking, "check_attention", work)


@pytest.mark.usefixtures("no_work")
def test_weights_that_are_named_and_not_there_are_refused_at_once(folder, tmp_path):
    result = cli(*few(folder, tmp_path / "out", "--weights", tmp_path / "nope.gguf"), code=2)
    assert f"--weights {tmp_path / 'nope.gguf'}: there is no such file" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize("main", [False, True])
@pytest.mark.parametrize(("place", "why"), [("mine.txt", "it is a file"), ("mine.txt/new/out", "Not a directory")])
def test_a_place_that_cannot_hold_results_is_refused_at_once(place, why, main, folder, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    words = few(folder, tmp_path / place, "--weights", "none")
    if main:
        assert alone(list(map(str, words))) == 2
        said = capsys.readouterr().err
    else:
        said = cli(*words, code=2).stderr
    assert f"--out {tmp_path / place}: no folder that can be written ({why})" in said
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_trying_a_place_leaves_it_as_it_was(tmp_path):
    try_out(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine.txt").write_text("mine")
    try_out(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_weights_the_closed_loop_is_left_out_with_a_line(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EVICTLAB_WEIGHTS", "")
    monkeypatch.setenv("EVICTLAB_CACHE_DIR", str(tmp_path / "empty"))
    result = cli(*few(folder, tmp_path / "out", "--json"))
    held = json.loads(result.stdout)
    assert held["closed_loop"] == []
    assert any("Closed loop left out: no weights here" in note for note in held["notes"])


def test_weights_of_another_model_are_not_used(folder, tmp_path, text):
    result = cli(*few(folder, tmp_path, "--json", "--weights", text.model._file.path))
    assert any("is not the model that was recorded" in note for note in json.loads(result.stdout)["notes"])


ABSENT = (
    "simpy,gymnasium,stable_baselines3,sb3_contrib,typer,rich,click,matplotlib,pydantic,platformdirs,scipy,jinja2,joblib,"
    "sklearn,onnx,onnxruntime,crossplane,transformers,gguf,ray,tensorboard"
)

BARE = f"""
import importlib.abc, sys
ABSENT = set("{ABSENT}".split(","))
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"no {{name}} here", name=name)
sys.meta_path.insert(0, Refuse())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in ABSENT else found(name, package)
from evictlab.experiments.checks.attention import main
code = main(sys.argv[1:])
assert not ABSENT & {{name.partition(".")[0] for name in sys.modules}}
sys.exit(code)
"""


def test_it_runs_where_little_more_than_torch_is_installed(folder, tmp_path):
    words = [str(word) for word in few(folder, tmp_path, "--commit", "abc1234")]
    done = subprocess.run(
        [sys.executable, "-c", BARE, *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Closed loop left out" in done.stderr
    held = json.loads((tmp_path / "attention.json").read_text())
    assert held["passed"] is True
    assert held["stamp"]["commit"] == "abc1234"
    assert not (tmp_path / "attention.png").exists()


def test_importing_the_check_loads_nothing_that_a_gpu_machine_may_lack():
    code = "import sys, evictlab.experiments.checks.attention, evictlab.sim.check.gpu; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {*ABSENT.split(","), "torch", "numba", "pandas", "pyarrow", "safetensors"}
