"""Policies that kvpress has too keep the same keys of the same tensors. kvpress 0.5.5 answers from a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from attention.tie_aware import contradiction

from evictlab.policies.kv.registry import parse_kv_policy
from evictlab.sim.attention import prepare, replay_attention
from evictlab.sim.attention.log import PROMPT
from evictlab.traces.attention import random_attention

# Shapes: multi-head and grouped, one layer and several. Lengths and ratios such that n * (1 - ratio) is whole.
SHAPES = {
    "grouped": {"layers": 3, "heads": 6, "kv_heads": 2, "head_dim": 32, "prompt": 240},
    "plain": {"layers": 2, "heads": 3, "kv_heads": 3, "head_dim": 16, "prompt": 160},
    "one_kv_head": {"layers": 4, "heads": 4, "kv_heads": 1, "head_dim": 64, "prompt": 320},
}
SEEDS = (0, 1)
RATIOS = (0.25, 0.5, 0.75)
WINDOW = {"window_size": 16}
# Ours, with the protection that kvpress builds in; theirs, with its arguments.
PAIRS = [
    ("snapkv:window=16", "none", "snapkv", WINDOW),
    ("snapkv:window=16:kernel=7", "none", "snapkv", {**WINDOW, "kernel_size": 7}),
    ("pyramidkv:window=16:variant=kvpress", "none", "pyramidkv", WINDOW),
    ("pyramidkv:window=8:beta=4:variant=kvpress", "none", "pyramidkv", {"window_size": 8, "beta": 4}),
    ("adakv:window=16:kernel=5:pooling=avg:variant=kvpress", "none", "adakv", {**WINDOW, "alpha": 0.2}),
    ("adakv:window=16:kernel=5:pooling=avg:alpha=0.8:variant=kvpress", "none", "adakv", {**WINDOW, "alpha": 0.8}),
    ("criticalkv:window=16", "none", "critical", WINDOW),
    ("criticalkv:window=16:ada=true", "none", "criticalada", {**WINDOW, "alpha": 0.2}),
    ("criticalkv:window=16:ada=true:alpha=0.8", "none", "criticalada", {**WINDOW, "alpha": 0.8}),
    ("expected_attention", "none", "expected", {}),
    (
        "expected_attention:future=64:epsilon=0.01",
        "none",
        "expected",
        {"n_future_positions": 64, "epsilon": 0.01},
    ),
    (
        "expected_attention:covariance=false:norm=false",
        "none",
        "expected",
        {"use_covariance": False, "use_vnorm": False},
    ),
    ("keydiff", "none", "keydiff", {}),
    ("keydiff:block=32", "none", "keydiff_blocks", {"block_size": 32}),
    ("knorm", "none", "knorm", {}),
    ("tova", "recent=1", "tova", {}),  # kvpress never drops the newest key
    ("h2o:recent=0:normalise=true", "none", "observed", {}),
    ("streaming_llm:reindex=false", "none", "streaming", {}),
]
TRACES = [f"{shape}-{seed}" for shape in SHAPES for seed in SEEDS]


@pytest.fixture(scope="module")
def prepared():
    """Each trace in float32, ready for replay."""
    made = {f"{shape}-{seed}": random_attention(seed, decode=1, **SHAPES[shape]) for shape in SHAPES for seed in SEEDS}
    return {name: prepare(trace) for name, trace in made.items()}


@pytest.fixture(scope="module")
def answers(prepared, tmp_path_factory):
    """What kvpress keeps in every case, all from one process."""
    if importlib.util.find_spec("kvpress") is None:
        if "kvpress" in os.environ.get("EVICTLAB_REQUIRE", "").split(","):
            pytest.fail("kvpress is not installed, and EVICTLAB_REQUIRE says that it must be")
        pytest.skip("the kvpress package is not installed (make test installs it)")
    folder = tmp_path_factory.mktemp("kvpress")
    tensors, cases = {}, []
    for name, ready in prepared.items():
        n = ready.request.n_prompt
        tensors[f"{name}_q"] = np.stack(ready.q)[:, :, :n]
        tensors[f"{name}_k"] = np.stack(ready.k)[:, :, :n]
        tensors[f"{name}_v"] = np.stack(ready.v)[:, :, :n]
        tensors[f"{name}_wo"] = np.stack(ready.wo)
        for pair, (_, _, press, more) in enumerate(PAIRS):
            for ratio in RATIOS:
                theta = ready.trace.manifest.layers[0].rope_theta
                cases.append(
                    {"trace": name, "pair": pair, "press": press, "more": more, "ratio": ratio, "theta": theta}
                )
    np.savez(folder / "questions.npz", cases=json.dumps(cases), **tensors)
    script = Path(__file__).parent / "kvpress_reference.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "questions.npz"), str(folder / "answers.npz")],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(folder / "answers.npz")
    asked = {(case["trace"], case["pair"], case["ratio"]): number for number, case in enumerate(cases)}
    return asked, {name: found[name] for name in found.files}


def kept_of_prompt(ready, policy, protect, budget):
    """Which keys of the prompt are left: bool[layers, kv_heads, n]."""
    run = replay_attention(ready, policy, budget, protect=protect)
    setting = run.setting
    died = run.log.died(setting.streams("mean"), setting.capacity)
    return (died != PROMPT).reshape(setting.layers, setting.kv_heads, -1)[:, :, : setting.prompt]


def compare(prepared, answers, pair):
    """All cases of one pair: evictions compared, keys that swapped in exact ties, and contradictions."""
    asked, found = answers
    policy, protect, _, _ = PAIRS[pair]
    evictions, swaps, wrong = 0, 0, []
    for name in TRACES:
        for ratio in RATIOS:
            ready, number = prepared[name], asked[name, pair, ratio]
            mine = kept_of_prompt(ready, policy, protect, int(ready.request.n_prompt * (1 - ratio)))
            for layer, of_layer in enumerate(mine):
                theirs, score = found[f"kept_{number}_{layer}"], found.get(f"score_{number}_{layer}")
                evictions += int((~theirs).sum())
                swaps += int((of_layer & ~theirs).sum())
                for head, (ours, other) in enumerate(zip(of_layer, theirs, strict=True)):
                    if score is None:  # heads share one ranking, which kvpress does not hand out: no tie is excused
                        said = None if (ours == other).all() else f"keys {np.flatnonzero(ours != other)} differ"
                    else:
                        said = contradiction(ours, other, score[head])
                    if said:
                        wrong.append(f"{policy}, {name}, ratio {ratio}, layer {layer}, head {head}: {said}")
    return evictions, swaps, wrong


@pytest.mark.peers
@pytest.mark.parametrize("pair", range(len(PAIRS)), ids=[policy for policy, *_ in PAIRS])
def test_same_keys_as_kvpress(prepared, answers, pair):
    """No contradiction, and a pyramid that is one: its fallback to uniform shares alone would prove little."""
    evictions, _, wrong = compare(prepared, answers, pair)
    assert not wrong, wrong[:5]
    assert evictions > 1000
    if PAIRS[pair][2] == "pyramidkv":
        asked, found = answers
        counts = [[found[f"kept_{asked[name, pair, 0.5]}_{layer}"].sum() for layer in (0, 1)] for name in TRACES]
        assert any(lower > higher for lower, higher in counts)


@pytest.mark.peers
def test_ten_thousand_evictions_and_no_contradiction(prepared, answers):
    """The acceptance line of the comparison, over all pairs together."""
    results = [compare(prepared, answers, pair) for pair in range(len(PAIRS))]
    assert sum(evictions for evictions, _, _ in results) >= 10_000
    assert [line for _, _, wrong in results for line in wrong] == []


@pytest.mark.parametrize(("policy", "protect"), [(policy, protect) for policy, protect, _, _ in PAIRS])
def test_pairs_name_policies(policy, protect):
    """A misspelt parameter would turn a comparison into a skip or an error far from its cause."""
    assert parse_kv_policy(policy).label.partition(":")[0] == policy.partition(":")[0]


# --- the comparison itself ---------------------------------------------------------------------------------------------


def bits(*kept):
    return np.isin(np.arange(5), kept)


def test_the_comparison_finds_a_wrong_set():
    """Keys 0 and 4 are the best; whoever keeps key 1 instead of key 4 is wrong, tie or no tie elsewhere."""
    score = np.array([5.0, 1.0, 2.0, 2.0, 4.0])
    assert contradiction(bits(0, 4), bits(0, 4), score) is None
    assert "keys [1] differ" in contradiction(bits(0, 1), bits(0, 4), score)
    assert "3 keys are kept" in contradiction(bits(0, 1, 4), bits(0, 4), score)


def test_only_exact_ties_may_swap():
    """Keys 2 and 3 tie for the last place: either will do, and a third key will not."""
    score = np.array([5.0, 1.0, 2.0, 2.0, 4.0])
    assert contradiction(bits(0, 2, 4), bits(0, 3, 4), score) is None
    assert contradiction(bits(0, 1, 4), bits(0, 3, 4), score)
    score[2] += 1e-9
    assert contradiction(bits(0, 3, 4), bits(0, 2, 4), score)
    assert contradiction(bits(0, 3, 4), bits(0, 2, 4), score, tol=1e-8) is None


def test_the_comparison_doubts_the_reference_too():
    """A reference that did not choose by the scores it gave proves nothing."""
    assert "did not choose by this score" in contradiction(bits(0, 1), bits(0, 1), np.array([5.0, 1, 2, 2, 4]))
