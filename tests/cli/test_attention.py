"""``evictlab attention ...``: a trace against policies, answers under eviction, policies, and what a trace is."""

from __future__ import annotations

import json
import shutil
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


def test_a_budget_below_a_window_leaves_that_cell_out_and_says_why(cli, folder):
    done = cli("attention", folder, "--policy", "window,snapkv", "--budget", "16,40", "-q")
    assert "snapkv at 16 is left out" in done.stderr and "32 recent (the window of snapkv) = 32" in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("window", "snapkv"))] == [
        "window",
        "window",
        "snapkv",
    ]
    words = ("-p", "window,snapkv,h2o:accumulate=full", "-b", "16,40", "-n", 2, "--json")
    document = json.loads(cli("attention", "accuracy", *words).stdout)
    assert list(document["refused"]) == ["snapkv at 16"]
    assert [row["oracle"] for row in document["rows"] if row["policy"].startswith("h2o")] == [True, True]


@pytest.mark.parametrize(
    ("words", "lesson"),
    [
        (("--request", "1"), "has 1 requests, numbered from 0; there is none 1"),
        (("--policy", ","), "at least one policy and one budget"),
        (("--policy", "window:x=1:x=2"), "unknown parameter"),
        (("--policy", "snapkv:window=4:window=8"), "window is given twice"),
        (("--policy", "quest:dense=-1"), "dense=-1 is not a number from 0"),
        (("--policy", "criticalkv:first=nan"), "first=nan is not a number from 0"),
        (("--protect", "sink=1,sink=2"), "gives sink twice"),
    ],
)
def test_more_that_makes_no_sense(cli, folder, words, lesson):
    given = {"--policy": "window", "--budget": "16", **dict(zip(words[::2], words[1::2], strict=True))}
    assert lesson in cli("attention", folder, *(word for pair in given.items() for word in pair), code=2).stderr


def test_the_full_cache_alone_can_be_drawn_and_a_huge_budget_is_a_budget(cli, folder, tmp_path):
    cli("attention", folder, "-p", "full", "-b", "99999999999", "--plot", tmp_path / "full.png")
    rows = json.loads(cli("attention", folder, "-p", "tova", "-b", "99999999999", "--json").stdout)["rows"]
    assert rows[0]["mass"] == pytest.approx(1)
    assert rows[0]["mass_beyond_sink"] == pytest.approx(1, abs=1e-5)


def test_a_trace_whose_attention_is_not_the_model_s_is_refused(cli, folder, tmp_path):
    copy = tmp_path / "wrong"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "scale": 2 * manifest["scale"]}))
    said = cli("attention", copy, "-p", "window", "-b", "16", code=1).stderr
    assert "log-sum-exp is off by" in said and "evictlab attention info" in said


def test_options_of_the_other_task_are_refused(cli):
    assert "--question is for --task passkey" in cli("attention", "accuracy", "--question", "after", code=2).stderr


def test_a_study_of_two_policies_says_nothing(cli, tmp_path):
    said = cli("attention", "study", "-p", "window,snapkv", "-b", "24", "-o", tmp_path, code=2).stderr
    assert "over 1 policies says nothing" in said
    assert not list(tmp_path.iterdir())


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
    assert "as in --policy ./my_kv_window.py:sinks=4" in cli("attention", "policies", own).stdout


def test_a_cache_policy_is_shown_as_it_is_applied_to_tokens(cli):
    done = cli("attention", "policies", "lru")
    assert "lru is a cache policy" in done.stderr
    assert "0.01" in done.stdout and "Attention that counts as a use." in done.stdout
    assert "unknown KV policy 'lrux'" in cli("attention", "policies", "lrux", code=2).stderr


def test_all_policies_are_listed_and_one_in_full(cli):
    listed = cli("attention", "policies").stdout
    names = {line.split()[0] for line in listed.splitlines() if line and not line.startswith(" ")}
    assert set(kv_policy_names()) <= names
    one = cli("attention", "policies", "snapkv").stdout
    assert "arxiv.org/abs/2404.14469" in one and "window" in one and "32" in one
    assert "Neighbours that are pooled." in one and "generated tokens stay" in one  # its own, and an inherited one
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
