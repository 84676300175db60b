"""What a policy cannot do behind the engine's back, parameters that mean nothing, and who counts as a contestant."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

from evictlab.policies.kv import KVPolicy, Needs, Session, kv_spec, parse_kv_policy
from evictlab.sim.attention import prepare, replay_attention
from evictlab.traces.attention import random_attention
from evictlab.traces.errors import UsageError


@pytest.fixture(scope="module")
def ready():
    return prepare(
        random_attention(0, layers=3, heads=4, kv_heads=2, head_dim=8, prompt=96, decode=48, prompt_queries=96)
    )


@pytest.mark.parametrize("policy", ["cake:tau2=0.05", "criticalkv:ada=true:alpha=0:interval=8"])
def test_the_end_of_the_prompt_stays_protected_once_it_is_no_longer_recent(ready, policy):
    """A head that was left with its window alone must hold the boundary beside a new window: it is given the slots."""
    run = replay_attention(ready, policy, "56", protect="sink=2,boundary=16")
    assert run.log.evictions


@pytest.mark.parametrize(
    "policy",
    [
        "snapkv:window=0",
        "defensivekv:window=0",
        "compresskv:window=-1",
        "snapkv:interval=-2",
        "snapkv:kernel=0",
        "streaming_llm:sink=-1",
        "keydiff:block=-5",
        "expected_attention:future=0",
        "scissorhands:recent=-3",
        "cake:tau1=0",
    ],
)
def test_parameters_that_mean_nothing_are_refused(ready, policy):
    with pytest.raises(UsageError, match=r"=-?\d"):
        replay_attention(ready, policy, "56")


def test_a_ranking_over_all_layers_holds_the_whole_prompt_once(ready):
    one, all_ = (replay_attention(ready, f"snapkv:window=8:pool={pool}", "32") for pool in ("layer", "global"))
    assert all_.peak_bytes[0] == all_.full_bytes * 96 // 144 > one.peak_bytes[0]  # 96 tokens of 144


@dataclass(frozen=True)
class Cheat(KVPolicy):
    """Not registered, or all tests of the registry would see it."""

    spec = dataclasses.replace(kv_spec("window"), name="cheat")
    what: str = "budget"

    def needs(self):
        return Needs(keys=True)

    def make(self, setting):
        return _Cheat(self.what)


class _Cheat(Session):
    def __init__(self, what):
        self.what = what

    def on_prompt(self, prompt):
        self.prompt = prompt
        if self.what == "keys":
            prompt.layers[0].keys[:] = 0
        return [prompt.cut(layer, np.zeros((2, prompt.n))) for layer in prompt.layers]

    def on_step(self, step):
        if self.what == "later":
            self.prompt.budgets[:] = 10_000
        if self.what == "budget":
            step.budget[:] = 10_000
        if self.what == "ids":
            step.ids[:] = -1
        return []


@pytest.mark.parametrize(
    ("what", "said"), [("budget", "read-only"), ("ids", "read-only"), ("keys", "read-only"), ("later", "may hold")]
)
def test_a_policy_changes_nothing_but_by_actions(ready, what, said):
    with pytest.raises(Exception, match=said):
        replay_attention(ready, Cheat(what), "32")


def test_who_knows_what_is_lost_is_no_contestant():
    assert parse_kv_policy("h2o:accumulate=full").oracle and not parse_kv_policy("h2o").oracle


def test_a_policy_of_positions_decides_in_every_layer_as_in_the_model(ready):
    assert replay_attention(ready, "window", "32").decisions == "all layers"
    assert replay_attention(ready, "tova", "32").decisions == "layer 0"


def test_quick_leaves_alone_what_was_asked_for():
    from evictlab.experiments.checks.attention import BUDGETS, extent

    assert extent(True, ["15%"], 7) == {"budgets": ["15%"], "repeats": 7}
    assert extent(True, None, 0) == {"budgets": ("25%", "50%"), "repeats": 0}
    assert extent(False, None, None) == {"budgets": BUDGETS, "repeats": 30}


@pytest.mark.parametrize("more", [{"budgets": ["10%"]}, {"policies": ["snapkv", "nosuch"]}])
def test_a_study_is_checked_before_it_runs(more):
    from evictlab.experiments.attention_study import plan

    with pytest.raises(Exception, match=r"number of slots|nosuch"):
        plan(**more)
