"""Trained models as files: what does not belong together is refused, and names go round through sweeps and the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from evictlab.experiments.cli.main import app
from evictlab.experiments.sweep import run_sweep
from evictlab.policies import parse_policy
from evictlab.policies.learned.model import METADATA, MODEL, read_metadata, read_weights
from evictlab.sim import replay
from evictlab.sim.loop import EVICTIONS, EXPIRED, HIT, REFUSED
from evictlab.sim.proxy import SYNC, CacheManager, ProxyConfig, simulate_proxy
from evictlab.traces.errors import UnknownNameError, UsageError
from evictlab.traces.generate import trap

from interpreted import run_naive, run_policy
from naive import make_twin
from naive.cold_rl import small_model


@pytest.fixture
def model(tmp_path):
    return small_model(tmp_path / "model", k=6, tail=2)


def change(folder, **entries):
    about = json.loads((folder / METADATA).read_text())
    (folder / METADATA).write_text(json.dumps(about | entries))


def test_what_a_model_says_of_itself(model):
    change(model, trained={"on": "nothing"})
    found = read_metadata(model)
    assert (found.k, found.tail, found.network, found.trained) == (6, 2, "set", {"on": "nothing"})
    digest = json.loads((model / METADATA).read_text())["model_sha256"]
    assert json.loads(found.to_json(digest)) == json.loads((model / METADATA).read_text())


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"model_sha256": "0" * 64}, "not the file that metadata.json was written for"),
        ({"features": ["age_s", "size_bytes"]}, "trained on other features"),
        ({"context": ["pace_s"]}, "trained on other context"),
        ({"half_lives": [256, 1024]}, "trained on other half_lives"),
        ({"version": 2}, "of format evictlab-cold-rl 2; this version reads evictlab-cold-rl 1"),
        ({"format": "pickle"}, "of format pickle 1"),
        ({"k": 65}, "k=65"),
        ({"k": 0}, "k=0"),
        ({"tail": 7}, "tail=7"),
        ({"network": "deep"}, "network=deep"),
        ({"k": "many"}, "damaged: ValueError"),
        ({"k": None}, "damaged: TypeError"),
    ],
)
def test_what_does_not_fit_is_refused(model, entries, says):
    change(model, **entries)
    with pytest.raises(UsageError, match=says):
        replay(trap(n_requests=100), f"cold_rl:{model}", "1MB")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"k": 6}', "3"])
def test_damaged_metadata(model, text):
    (model / METADATA).write_text(text)
    with pytest.raises(UsageError, match=r"metadata\.json is damaged"):
        read_metadata(model)


def test_what_is_not_there(model, tmp_path):
    with pytest.raises(UsageError, match=r"holds no trained model .*evictlab rl train"):
        read_metadata(tmp_path / "nowhere")
    (model / MODEL).unlink()
    with pytest.raises(UsageError, match=r"has no model\.onnx"):
        read_metadata(model)
    (model / MODEL).write_bytes(b"\xff\xfe no model")
    with pytest.raises(UsageError, match="is not the file"):
        read_metadata(model)
    with pytest.raises(UsageError, match="no ONNX model"):
        read_weights(model)


def test_names_go_round(model):
    for text, label in (
        ("cold_rl", "cold_rl"),
        ("cold-rl:trap", "cold_rl"),
        ("cold_rl:model=trap", "cold_rl"),
        (f"cold_rl:{model}", f"cold_rl:{model}"),
        (f"cold_rl:model={model}/", f"cold_rl:{model}/"),
        (f"tinylfu+cold_rl:{model}", f"tinylfu+cold_rl:{model}"),
    ):
        policy = parse_policy(text)
        assert policy.label == label
        assert parse_policy(policy.label) == policy
    with pytest.raises(UnknownNameError, match="modle"):
        parse_policy("cold_rl:modle=trap")
    with pytest.raises(UsageError, match="parameter=value"):
        parse_policy(f"cold_rl:{model}:8")


def test_a_trained_model_is_found_from_the_folder_one_is_in(model, monkeypatch):
    trace = trap(n_requests=400, seed=3)
    monkeypatch.chdir(model.parent)
    by_path, by_name = (replay(trace, f"cold_rl:{text}", "5MB").frame for text in (model, "model"))
    assert by_path["hits"].tolist() == by_name["hits"].tolist()
    assert by_name["policy"].tolist() == ["cold_rl:model"]


def test_the_same_from_everywhere(model, tmp_path, monkeypatch):
    """Interpreter, twin, replay, sweep, command line, and a proxy that takes no time: the same hits."""
    trace = trap(n_requests=1500, seed=3)
    name = f"cold_rl:{model}"
    capacity = 5_000_000
    hits = {}
    given = (trace.ids, capacity, trace.sizes, trace.times, trace.ttls, trace.costs, 4)
    outcomes = run_policy(name, *given)[0]
    assert run_policy(name, *given, compiled=True)[0] == outcomes
    hits["interpreted"] = outcomes.count(HIT)
    hits["replay"] = int(replay(trace, name, "5MB", ttl="trace", seeds=[4]).frame["hits"].iloc[0])
    config = ProxyConfig("5MB", SYNC, ttl="trace", origin=0.0, block_bytes=0)
    hits["proxy"] = simulate_proxy(trace, name, config, seed=4).counts()["hit"]

    monkeypatch.setenv("COLUMNS", "200")
    words = ["replay", "trap:requests=1500,seed=3", "-p", f"{name},lru", "-s", "5MB", "--ttl", "trace", "--seed", "4"]
    shown = CliRunner().invoke(app, [*words, "--json"])
    assert shown.exit_code == 0, shown.stderr
    rows = {row["policy"]: row for row in json.loads(shown.stdout)["rows"]}
    assert rows.keys() == {name, "lru"}
    hits["command line"] = rows[name]["hits"]

    (tmp_path / "sweep.toml").write_text(
        'traces = ["trap:requests=1500,seed=3"]\nsizes = ["5MB"]\nttl = "trace"\nseeds = [4, 5]\n'
        f'policies = ["lru", "cold_rl", "{name}"]\noutput = "out.json"\n'
    )
    frame = run_sweep(tmp_path / "sweep.toml").frame
    assert len(frame) == 1 + 2 + 2  # LRU does not draw
    hits["sweep"] = int(frame[(frame["policy"] == name) & (frame["seed"] == 4)]["hits"].iloc[0])
    assert len(set(hits.values())) == 1, hits


def test_the_model_of_the_package_against_onnxruntime():
    trace = trap(n_requests=1200, seed=8)
    ttls = trace.ttls / 200
    given = (trace.ids, 20_000_000, trace.sizes, trace.times, ttls)
    ours, counts = run_policy("cold_rl", *given, trace.costs, compiled=True)
    columns = {"sizes": trace.sizes, "costs": trace.costs}
    twin = make_twin("cold_rl", trace.ids, 20_000_000, **columns)
    twin.times, twin.ttls = trace.times, ttls
    assert ours == run_naive(twin, *given)
    assert counts[EXPIRED] > 20
    assert counts[EVICTIONS] > 200
    assert counts[REFUSED] > 5  # newcomers that do not stay


def test_in_the_proxy_with_a_manager(model):
    """Responses enter late, the manager asks when it wakes: time goes back, and nothing breaks."""
    trace = trap(n_requests=1500, seed=3)
    manager = CacheManager(3.0, files=5, first_wake_s=1.0)
    given = {"ttl": "trace", "origin": "lognormal:median=30s:sigma=1", "block_bytes": 4096}
    config = ProxyConfig("5MB", manager, **given, lock=True, decision_latency=0.01, deadline_s=1.0)
    one, two = (simulate_proxy(trace, f"cold_rl:{model}", config, seed=2) for _ in range(2))
    assert one.outcomes.tolist() == two.outcomes.tolist()
    assert one.decisions_ok > 50
    lru = simulate_proxy(trace, "lru", config, seed=2)
    assert one.outcomes.tolist() != lru.outcomes.tolist()
    assert np.isfinite(one.latency).all()
