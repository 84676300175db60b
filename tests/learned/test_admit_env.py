"""The environment of admission."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from every_policy import ObjectPolicy
from gymnasium.utils import env_checker

from evictlab.policies.learned.facts import FEATURES, MISSING
from evictlab.rl.envs import AdmitEnv
from evictlab.sim import replay
from evictlab.traces import RequestTrace, UsageError
from evictlab.traces.errors import CapabilityError
from evictlab.traces.generate import trap, zipf

TRACE = trap(n_requests=4000, seed=1)
NOBODY = len(FEATURES) * [MISSING]


def played(env: AdmitEnv, choose: Any, seed: int = 0) -> tuple[list[float], dict[str, Any]]:
    """Play an episode; return all rewards and the last info."""
    seen, info = env.reset(seed=seed)
    rewards, over = [], False
    while not over:
        seen, reward, terminated, truncated, info = env.step(choose(seen))
        rewards.append(reward)
        over = terminated or truncated
    return rewards, info


def test_a_story():
    # One byte-sized object of three fits beside another. 7 and 8 come in; 9 needs 2 bytes; 7 stays if 9 is turned away.
    trace = RequestTrace.from_columns(
        [7, 8, 9, 7, 9], [1, 2, 2, 1, 2], [0.0, 1.0, 3.0, 6.0, 7.0], [60.0] * 5, [0.5, 0.25, 0.125, 0.5, 0.75]
    )
    env = AdmitEnv(trace, "3B", ttl="trace")
    seen, info = env.reset(seed=0)
    assert info["requests"] == 0
    assert seen["newcomer"].tolist() == [0, 1, 0, -1, 60, 0.5, 0, 1, 0, 1, 1]
    assert seen["victim"].tolist() == NOBODY
    assert seen["context"].tolist() == [0, 3, 0, 0]
    env.step(1)
    seen, reward, terminated, truncated, info = env.step(1)
    assert (reward, terminated, truncated) == (0, False, False)
    victim = dict(zip(FEATURES, seen["victim"].tolist(), strict=True))
    assert (victim["size_bytes"], victim["idle_s"], victim["ttl_left_s"], victim["origin_s"]) == (1, 3, 57, 0.5)
    assert seen["context"].tolist() == [1.5, 3, 2, 2]
    seen, reward, terminated, truncated, info = env.step(0)
    assert (reward, info["bypassed"], info["requests"]) == (1, 1, 4)  # 7 was a hit, and now 9 asks again
    newcomer = dict(zip(FEATURES, seen["newcomer"].tolist(), strict=True))
    assert (newcomer["gap_s"], newcomer["requests"], newcomer["known_s"]) == (4, 2, 4)  # known, though it never came in
    victim = dict(zip(FEATURES, seen["victim"].tolist(), strict=True))
    assert (victim["size_bytes"], victim["idle_s"]) == (2, 6)  # 8: 7 has been asked for since
    seen, reward, terminated, truncated, info = env.step(1)
    assert (reward, terminated) == (0, True)
    assert (info["hit_ratio"], info["byte_hit_ratio"], info["evictions"]) == (1 / 5, 1 / 8, 1)
    assert seen["newcomer"].tolist() == seen["victim"].tolist() == NOBODY


@pytest.mark.parametrize(
    ("policy", "capacity", "ttl"),
    [
        ("lru", "10MB", "trace"),
        ("lru", "300kB", "20min"),  # larger objects than the cache among them
        ("lru", "40obj", None),
        ("sieve", "10MB", "trace"),
        ("arc", "10MB", None),  # learns from its ghosts when it is asked to admit
        ("car", "60obj", None),
        ("clock", "10MB", "trace"),  # moves its hand when it is asked for the victim
        ("gdsf", "10MB", "trace"),
        ("random", "10MB", None),
        ("tinylfu+lru", "10MB", "trace"),  # refuses some that are let in
        ("flush_when_all_zeros@truth", "60obj", None),  # leaves of its own accord
    ],
)
def test_admitting_all_is_the_policy(policy, capacity, ttl):
    rewards, info = played(AdmitEnv(TRACE, capacity, policy, ttl=ttl), lambda seen: 1)
    row = replay(TRACE, policy, capacity, ttl=ttl, seeds=info["seed"]).frame.iloc[0]
    assert sum(rewards) == row.hits == round(info["hit_ratio"] * len(TRACE))
    assert info["evictions"] == row.evictions > 0
    assert info["requests"] == row.requests
    assert info["bypassed"] == row.refused
    if ttl is None:  # each miss that could enter is a decision
        assert len(rewards) == row.misses - row.too_large
    if not capacity.endswith("obj"):
        assert info["byte_hit_ratio"] == pytest.approx(1 - row.byte_miss_ratio, abs=1e-12)


def test_a_policy_that_is_an_object():
    _, info = played(AdmitEnv(zipf(3000, 300, seed=1), "30obj", ObjectPolicy()), lambda seen: 1)
    _, lru = played(AdmitEnv(zipf(3000, 300, seed=1), "30obj", "lru"), lambda seen: 1)
    assert info["hit_ratio"] > 0
    assert info["requests"] == lru["requests"]


def test_compiled_as_interpreted():
    from evictlab.rl.envs.admission import until_next

    compiled, plain = (AdmitEnv(TRACE, "8MB", "sieve", ttl="trace") for _ in range(2))
    compiled.reset(seed=0)
    plain.reset(seed=0)
    plain._run = until_next
    dice = np.random.default_rng(0)
    for _ in range(600):
        action = int(dice.integers(2))
        a, b = compiled.step(action), plain.step(action)
        for name in a[0]:
            np.testing.assert_allclose(a[0][name], b[0][name], rtol=1e-6)
        assert a[1:] == b[1:]


def test_turning_away_what_comes_once():
    trace = zipf(20_000, 4000, alpha=0.8, seed=3)
    _, always = played(AdmitEnv(trace, "100obj"), lambda seen: 1)
    _, twice = played(AdmitEnv(trace, "100obj"), lambda seen: int(seen["newcomer"][7] > 1))
    _, never = played(AdmitEnv(trace, "100obj"), lambda seen: 0)
    assert twice["hit_ratio"] > always["hit_ratio"] > never["hit_ratio"] == 0
    assert never["evictions"] == 0
    assert never["bypassed"] == never["requests"] == 20_000


def test_rewards_in_bytes():
    rewards, info = played(AdmitEnv(TRACE, "10MB", reward="bytes"), lambda seen: 1)
    assert sum(rewards) == pytest.approx(info["byte_hit_ratio"] * len(TRACE))


def test_the_victim_is_who_leaves():
    env = AdmitEnv(TRACE, "10MB", "lfu")
    seen, _ = env.reset(seed=0)
    checked = 0
    for _ in range(300):
        needed, victim = float(seen["context"][3]), seen["victim"]
        assert (needed > 0) == (victim[1] > 0)
        before = env._stored.copy()
        assert seen["context"][2] == (before > 0).sum()
        seen, *_ = env.step(1)
        if needed:
            gone = before[(before > 0) & (env._stored == 0)]
            assert victim[1] in gone.astype(np.float32)
            checked += 1
    assert checked > 100


def test_ends_and_seeds():
    env = AdmitEnv(TRACE, "10MB", start="random", length=300)
    first, again = env.reset(seed=4), env.reset(seed=4)
    assert first[1] == again[1]
    np.testing.assert_array_equal(first[0]["newcomer"], again[0]["newcomer"])
    _, info = played(env, lambda seen: 1, seed=4)
    assert 300 <= info["requests"] < 330
    assert env.reset()[1]["seed"] != first[1]["seed"]
    env = AdmitEnv(TRACE, "500B")  # nothing fits
    seen, info = env.reset(seed=0)
    assert seen["newcomer"].tolist() == NOBODY
    assert env.step(1)[1:4] == (0.0, True, False)
    assert info["requests"] == len(TRACE)


def test_features_that_are_hidden():
    whole, paper = AdmitEnv(TRACE, "10MB"), AdmitEnv(TRACE, "10MB", features="paper")
    a, b = whole.reset(seed=0)[0]["newcomer"], paper.reset(seed=0)[0]["newcomer"]
    np.testing.assert_array_equal(a[:6], b[:6])
    assert (b[6:] == MISSING).all()


def test_gymnasium_and_stable_baselines_find_nothing_wrong():
    from stable_baselines3.common.env_checker import check_env

    env = gymnasium.make("evictlab.rl.envs:evictlab/Admit-v0", trace=TRACE, capacity="10MB", policy="lru").unwrapped
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env_checker.check_env(env)
        check_env(env)
    assert {str(one.message) for one in caught if "maximum value is infinity" not in str(one.message)} == set()


def test_shown_as_text():
    env = AdmitEnv(TRACE, "10MB", render_mode="ansi")
    env.reset(seed=0)
    lines = (env.render() or "").splitlines()
    assert lines[1].split() == ["newcomer", "victim"]
    assert [line.split()[0] for line in lines[2:]] == list(FEATURES)
    assert AdmitEnv(TRACE, "10MB").render() is None


def test_arguments_that_make_no_sense():
    with pytest.raises(UsageError, match="reward"):
        AdmitEnv(TRACE, "10MB", reward="paper")
    with pytest.raises(CapabilityError, match="who leaves"):
        AdmitEnv(TRACE, "10MB", "tinylfu")
