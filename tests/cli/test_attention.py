"""``evictlab attention ...``: a trace against policies, answers under eviction, policies, and what a trace is."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from evictlab.policies.kv import kv_policy_names
from evictlab.sim.attention import ActionLog
from evictlab.sim.check.gpu import StepTime
from evictlab.traces.attention import random_attention, write_attention

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small synthetic trace on disk."""
    place = tmp_path_factory.mktemp("attention") / "trace"
    write_attention(random_attention(1, layers=2, heads=4, kv_heads=2, head_dim=16, prompt=96, decode=12), place)
    return place


def test_a_table_per_budget(cli, folder):
    """The full cache keeps everything, a window less, and each budget is a table of its own."""
    text = cli("attention", folder, "--policy", "full,window,tova", "--budget", "16,50%").stdout
    assert "prompt 96 tokens, decode 12 tokens" in text
    assert "budget 16\n" in text
    assert "budget 50% = 48 slots per KV head" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    full = [line.split() for line in text.splitlines() if line.startswith("full")]
    assert full[0][1:4] == ["100.0", "100.0", "100.0"]
    kept = {
        line.split()[0]: float(line.split()[1]) for line in reversed(text.splitlines()) if line[:4] in ("wind", "tova")
    }
    assert 0 < kept["window"] < 100


def test_the_same_without_naming_the_command(cli, folder):
    words = ("--policy", "window", "--budget", "16", "--json")
    assert cli("attention", folder, *words).stdout == cli("attention", "replay", folder, *words).stdout


def test_rows_pictures_and_logs(cli, folder, tmp_path):
    out, picture, logs = tmp_path / "rows.csv", tmp_path / "kept.png", tmp_path / "logs"
    words = ("--policy", "tova,snapkv:window=8", "--budget", "24,25%", "--protect", "sink=2,recent=4")
    said = cli("attention", folder, *words, "-o", out, "--plot", picture, "--log", logs).stderr
    rows = pd.read_csv(out)
    assert list(rows["policy"]) == ["tova", "tova", "snapkv:window=8", "snapkv:window=8"]
    assert set(rows["protect"]) == {"sink=2,recent=4"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "4 action logs" in said
    (path,) = logs.glob("*tova-24-*")
    log = ActionLog.read(path)
    assert log.about["protect"] == "sink=2,recent=4"
    assert log.evictions == rows["evictions"][0] == 4 * (96 - 24 + 12)


def test_json_says_where_the_trace_is_from(cli, folder):
    document = json.loads(cli("attention", folder, "--policy", "window", "--budget", "16", "--json").stdout)
    assert document["trace"]["model"] == "synthetic"
    assert len(document["trace"]["sha256"]) == 64
    assert document["rows"][0]["live_slots"] == 17  # attended before the oldest leaves


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        (("--policy", "snapvk"), "Did you mean 'snapkv'"),
        (("--policy", "snapkv:windw=4"), "Did you mean 'window'"),
        (("--budget", "a lot"), "neither slots per KV head (64) nor a share of the prompt (10%)"),
        (("--budget", "8", "--protect", "sink=4,recent=16"), "4 sink + 0 boundary + 16 recent = 20"),
        (("--policy", "snapkv", "--budget", "16"), "32 recent (the window of snapkv) = 32"),
        (("--protect", "sinks=4"), "none of sink=N, boundary=N and recent=N"),
    ],
)
def test_what_makes_no_sense_is_refused(cli, folder, words, lesson):
    given = {"--policy": "window", "--budget": "16", **dict(zip(words[::2], words[1::2], strict=True))}
    flat = [word for pair in given.items() for word in pair]
    assert lesson in cli("attention", folder, *flat, code=2).stderr


def test_a_trace_that_is_not_there(cli):
    assert "no/trace" in cli("attention", "no/trace", "--policy", "window", code=2).stderr


def test_a_policy_that_the_trace_cannot_serve_is_left_out_and_said(cli, tmp_path):
    """Eight queries of the prompt were recorded, and a window of 32 asks for more: the others are still replayed."""
    place = tmp_path / "few"
    write_attention(
        random_attention(2, layers=1, heads=2, kv_heads=1, head_dim=16, prompt=80, decode=4, prompt_queries=8), place
    )
    done = cli("attention", place, "--policy", "window,snapkv", "--budget", "40", "--json")
    assert [row["policy"] for row in json.loads(done.stdout)["rows"]] == ["window"]
    assert "snapkv is left out" in done.stderr and "8 were recorded" in done.stderr
    alone = cli("attention", place, "--policy", "snapkv", "--budget", "40", code=2)
    assert "8 were recorded" in alone.stderr


def test_fitted_step_times_predict_what_a_step_takes(cli, folder, tmp_path):
    """1 ns per byte read and nothing else: two layers of two KV heads, 17 slots of 16 channels, keys and values, float16."""
    path = StepTime(0.0, 1e-9, 0.0, 0.0, device="d", dtype="float16", attention="sdpa").write(tmp_path)
    words = ("--policy", "window,quest", "--budget", "16", "--step-time", path, "--json")
    window, quest = json.loads(cli("attention", folder, *words).stdout)["rows"]
    assert window["step_us"] == pytest.approx(2 * 2 * 17 * 2 * 16 * 2 * 1e-3)
    assert quest["step_us"] is None  # reads a part: no such step was ever measured
    said = cli("attention", folder, "--policy", "window", "--step-time", "no.json", code=2).stderr
    assert "evictlab check gpu attention" in said


def test_regret_is_to_the_optimum_of_the_same_budget(cli, folder):
    rows = json.loads(
        cli("attention", folder, "--policy", "window,belady_mass,full", "--budget", "16", "--json").stdout
    )["rows"]
    window, best, full = rows
    assert best["regret"] == 0 and full["regret"] is None
    assert window["regret"] == pytest.approx(best["mass"] - window["mass"]) and window["regret"] > 0
    assert "gret" in cli("attention", folder, "--policy", "window,belady_mass", "--budget", "16").stdout


def test_a_policy_of_ones_own(cli, folder):
    own = ROOT / "experiments" / "examples" / "my_kv_window.py"
    words = ("--policy", f"streaming_llm:reindex=false,{own},{own}:sinks=0,window", "--budget", "16", "--json")
    rows = {row["policy"]: row["mass"] for row in json.loads(cli("attention", folder, *words).stdout)["rows"]}
    assert rows["my_kv_window"] == rows["streaming_llm:reindex=false"] > rows["window"] == rows["my_kv_window:sinks=0"]
    assert "sinks" in cli("attention", "policies", own).stdout


def test_all_policies_are_listed_and_one_in_full(cli):
    listed = cli("attention", "policies").stdout
    names = {line.split()[0] for line in listed.splitlines() if line and not line.startswith(" ")}
    assert set(kv_policy_names()) <= names
    one = cli("attention", "policies", "snapkv").stdout
    assert "arxiv.org/abs/2404.14469" in one and "window" in one and "32" in one
    records = json.loads(cli("attention", "policies", "--json").stdout)["policies"]
    assert {record["name"] for record in records} == set(kv_policy_names())


def test_info_verifies(cli, folder):
    facts = json.loads(cli("attention", "info", folder, "--json").stdout)
    assert facts["verified"].startswith("exact")
    assert "verified" in cli("attention", "info").stdout


def test_answers_under_eviction(cli, tmp_path):
    out = tmp_path / "answers.json"
    text = cli("attention", "accuracy", "-p", "window,tova", "-b", "32,50%", "-n", 3, "-o", out).stdout
    assert "3 texts of 256 tokens" in text
    document = json.loads(out.read_text())
    assert document["full"] > 0.9
    assert [(row["policy"], row["budget"]) for row in document["rows"]] == [
        ("window", "32"),
        ("window", "50%"),
        ("tova", "32"),
        ("tova", "50%"),
    ]


def test_no_weights_no_passkey(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("EVICTLAB_WEIGHTS", "")
    monkeypatch.setattr("evictlab.traces.record.attention.fetch.find_smollm2", lambda: None)
    said = cli("attention", "accuracy", "--task", "passkey", code=2).stderr
    assert "evictlab trace fetch smollm2" in said


def test_the_study_says_which_metric_ranks_policies(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("evictlab.experiments.attention_study.RESAMPLES", 50)
    words = ("-p", "window,tova,snapkv:window=8,oracle", "-b", "32,64", "-n", 2, "--seeds", "0:1", "-o", tmp_path)
    document = json.loads(cli("attention", "study", *words, "--json").stdout)
    assert len(document["rows"]) == 4 * 2 * 2
    page = (tmp_path / "study.md").read_text()
    assert "Spearman's rank correlation with accuracy" in page
    assert "| oracle * |" in page
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".*journal"))
