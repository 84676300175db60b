"""The learned predictor: what it may look at, and that it learns what can be learnt."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from evictlab.policies.predictors import KINDS, parse_predictor
from evictlab.policies.predictors._features import FEATURES, features
from evictlab.policies.predictors.learned import _targets
from evictlab.sim import replay
from evictlab.traces import RequestTrace
from evictlab.traces.errors import MissingExtraError, PredictionError, UsageError


def mixed(n: int = 12_000, seed: int = 0) -> RequestTrace:
    """Half of the requests for 200 objects that return, half for objects that never do."""
    rng = np.random.default_rng(seed)
    once = 1000 + np.arange(n)
    return RequestTrace.from_columns(np.where(rng.random(n) < 0.5, rng.integers(0, 200, n), once), name="mixed")


@pytest.mark.parametrize("model", ["trees", "logistic"])
def test_one_hit_wonders_are_recognised(model):
    """An object that came back before will come back; one that is new will not, but for the first requests of the 200."""
    trace = mixed()
    bits = parse_predictor(f"learned:model={model}").forecast("discard", trace, 210)
    later = slice(len(trace) // 2, None)
    wonders = np.asarray(trace.keys)[trace.ids] >= 1000
    assert bits[later][wonders[later]].mean() > 0.99
    result = replay(trace, "mark0,lru,belady", "210obj", predict=f"learned:model={model}", warmup=0.5).frame
    learned, lru, belady = result["miss_ratio"]
    assert belady <= learned < belady + 0.2 * (lru - belady)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rest_of_the_trace_is_predicted_from_the_past_only(kind):
    """Change everything after a request in the second part: what was predicted up to there stays."""
    trace, end = mixed(4000), 3000
    changed = np.asarray(trace.keys)[trace.ids].copy()
    changed[end:] = np.random.default_rng(9).integers(0, 50, len(trace) - end)
    other = RequestTrace.from_columns(changed)
    for model in ("trees", "logistic"):
        said = [parse_predictor(f"learned:model={model}").forecast(kind, t, 50) for t in (trace, other)]
        if kind == "next_use":  # unknown gaps are given in lengths of the trace, which is the same here
            assert np.allclose(said[0][:end], said[1][:end])
        else:
            assert said[0][:end].tolist() == said[1][:end].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learnt_is_judged_within_the_first_part(kind):
    """Targets of the first part are the same whatever comes after it."""
    trace, end = mixed(2000), 1000
    keys = np.asarray(trace.keys)[trace.ids].copy()
    keys[end:] = 5
    for one, other in zip(
        _targets(kind, trace, end, 30), _targets(kind, RequestTrace.from_columns(keys), end, 30), strict=True
    ):
        assert one.tolist() == other.tolist()


def test_features_are_those_of_a_naive_computation():
    trace = mixed(400, seed=4)
    found = features(trace)
    ids = trace.ids.tolist()
    for now in range(len(ids)):
        before = [i for i in range(now) if ids[i] == ids[now]]
        gaps = np.diff([*before, now])[::-1]
        for k in range(4):
            assert found[now, k] == pytest.approx(np.log2(gaps[k]) if k < len(gaps) else 40, rel=1e-5)
        assert found[now, FEATURES.index("count")] == pytest.approx(np.log2(len(before) + 1), rel=1e-5)
        if len(gaps):
            assert found[now, FEATURES.index("mean_gap")] == pytest.approx(np.log2(gaps.mean()), rel=1e-5, abs=1e-5)
        decayed = sum(0.5 ** ((now - i) / 64) for i in [*before, now])
        assert found[now, FEATURES.index("decayed_64")] == pytest.approx(decayed, rel=1e-4)


def test_the_same_seed_learns_the_same():
    trace = mixed(3000)
    one, other = (parse_predictor("learned:seed=3").forecast("phase", trace, 60).tolist() for _ in range(2))
    assert one == other


def test_nonsense_is_refused():
    for words in ("train=0", "train=1", "threshold=0", "model=forest"):
        with pytest.raises(UsageError):
            parse_predictor(f"learned:{words}")
    with pytest.raises(
        PredictionError, match="nothing can be learnt"
    ):  # everybody fits: the optimum evicts nobody, and
        few = RequestTrace.from_columns(np.arange(40))  # nobody returns
        parse_predictor("learned").forecast("discard", few, 60)


def test_trained_requests_are_not_counted():
    with pytest.raises(PredictionError, match="--warmup 50%"):
        replay(mixed(1000), "mark0", "20obj", predict="learned", warmup=0.4)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match=r"evictlab\[predict\]"):
        parse_predictor("learned").forecast("discard", mixed(2000), 30)
