"""The environment of eviction: alone, side by side, and as Stable-Baselines3 wants it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils import env_checker
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import evictlab.rl.envs
from evictlab.policies.learned.facts import FEATURES, MISSING
from evictlab.rl.envs import EvictEnv, EvictVectorEnv, mean_stay
from evictlab.rl.envs.episodes import Episodes
from evictlab.rl.envs.spaces import PAPER
from evictlab.sim import replay
from evictlab.sim.plan import capacity_of
from evictlab.traces import RequestTrace, UsageError
from evictlab.traces.errors import UnknownNameError
from evictlab.traces.generate import trap, zipf

SMALL = {"trace": trap(n_requests=4000, seed=1), "capacity": "10MB", "ttl": "trace", "k": 8, "tail": 4}
COLUMN = {name: i for i, name in enumerate(FEATURES)}


def played(env: Any, choose: Any, seed: int = 0) -> tuple[list[Any], list[float], dict[str, Any]]:
    """Play an episode; return all observations, all rewards, and the last info."""
    seen, info = env.reset(seed=seed)
    observations, rewards, over = [seen], [], False
    while not over:
        seen, reward, terminated, truncated, info = env.step(choose(seen))
        observations.append(seen)
        rewards.append(reward)
        over = terminated or truncated
    return observations, rewards, info


def last_row(seen: Any) -> int:
    return max(int(seen["mask"].sum()) - 1, 0)


def same(a: Any, b: Any) -> None:
    """Both hold the same, whatever they are: observations, infos, arrays of these."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            same(a[name], b[name])
    elif isinstance(a, tuple) or (isinstance(a, np.ndarray) and a.dtype == object):
        for one, other in zip(a, b, strict=True):
            same(one, other)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def test_a_story():
    # Two objects fit. 7 and 8 come in, 7 is asked for again, and 9 wants in: who leaves, 8 or 7? Then 7 comes back.
    trace = RequestTrace.from_columns([7, 8, 7, 9, 7], times=[0.0, 1.0, 3.0, 6.0, 7.0])
    env = EvictEnv(trace, "2obj", k=4, reward="hits")
    seen, info = env.reset(seed=0)
    assert info["requests"] == 3
    assert seen["mask"].tolist() == [1, 1, 1, 0]
    rows = [dict(zip(FEATURES, row.tolist(), strict=True)) for row in seen["candidates"]]
    assert rows[0] | {"recent": 0, "steady": 0} == {
        "age_s": 5, "size_bytes": 1, "hits": 0, "gap_s": -1, "ttl_left_s": -1, "origin_s": -1, "idle_s": 5, "requests": 1,
        "known_s": 5, "recent": 0, "steady": 0,
    }  # fmt: skip
    assert (rows[1]["hits"], rows[1]["gap_s"], rows[1]["idle_s"], rows[1]["requests"]) == (1, 3, 3, 2)
    assert rows[0]["recent"] == pytest.approx(0.5 ** (2 / 256))
    newcomer = (0, 0, -1, 0, 1, 1)  # 9 stands for election, too
    assert tuple(rows[2][name] for name in ("age_s", "hits", "gap_s", "idle_s", "requests", "recent")) == newcomer
    assert set(rows[3].values()) == {MISSING}
    assert seen["context"].tolist() == [2, 2, 2, 0]
    seen, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated) == (0.5, True, False)  # of the two requests that followed, 7 was a hit
    assert (info["hit_ratio"], info["evictions"], info["requests"]) == (0.4, 1, 5)
    assert set(seen["candidates"].ravel().tolist()) == {MISSING}
    assert not seen["mask"].any()
    assert not seen["context"].any()
    env.reset(seed=0)
    assert env.step(1)[4]["evictions"] == 1  # 7 leaves and comes back: that is the next decision
    assert env.step(0)[4]["hit_ratio"] == 0.2
    env.reset(seed=0)
    _, _, _, _, info = env.step(2)  # 9 does not come in, and 7 is a hit
    assert (info["hit_ratio"], info["evictions"], info["requests"]) == (0.4, 0, 5)


@pytest.mark.parametrize(
    ("trace", "capacity", "ttl", "k", "tail"),
    [
        (trap(n_requests=6000, seed=2), "10MB", "trace", 64, 32),
        (trap(n_requests=6000, seed=2), "10MB", None, 16, 16),
        (trap(n_requests=6000, seed=3), "400kB", "20min", 4, 1),  # larger objects than the cache among them
        (trap(n_requests=6000, seed=3), "40obj", "trace", 2, 1),
        (zipf(8000, 900, seed=1, rate_per_s=None), "5%", None, 64, None),
    ],
)
def test_the_tail_is_lru(trace, capacity, ttl, k, tail):
    env = EvictEnv(trace, capacity, k=k, tail=tail, ttl=ttl)
    _, _, info = played(env, lambda seen: 0)
    row = replay(trace, "lru", capacity, ttl=ttl).frame.iloc[0]
    assert info["evictions"] == row.evictions > 0
    assert info["requests"] == row.requests
    assert info["hit_ratio"] == row.hits / row.requests
    if capacity.endswith("B"):
        assert info["byte_hit_ratio"] == pytest.approx(1 - row.byte_miss_ratio, abs=1e-12)


def test_who_is_seen():
    observations, _, _ = played(EvictEnv(**SMALL | {"k": 60, "tail": 30}), last_row)
    some_absent = 0
    for seen in observations[:-1]:
        there = seen["mask"].astype(bool)
        n = int(there.sum())
        assert there[:n].all()
        assert n == min(60, seen["context"][2] + 1)
        assert (seen["candidates"][~there] == MISSING).all()
        assert (seen["candidates"][there][:, COLUMN["size_bytes"]] > 0).all()
        idle = seen["candidates"][: min(n - 1, 30), COLUMN["idle_s"]]
        assert (np.diff(idle) <= 0).all()  # the tail, the oldest first
        some_absent += n < 60
    assert some_absent


def test_an_action_on_nobody_is_row_0():
    right, wrong = EvictEnv(**SMALL | {"k": 60}), EvictEnv(**SMALL | {"k": 60})
    same(right.reset(seed=5), wrong.reset(seed=5))
    invalid = 0
    for _ in range(50):
        absent = not right.action_masks()[59]
        a, b = right.step(0 if absent else 59), wrong.step(59)
        invalid += absent
        same(a[0], b[0])
        assert a[1] == b[1]
        assert b[4]["invalid"] == invalid
    assert invalid


def test_masks_leave_something_to_choose():
    env = EvictEnv(**SMALL | {"capacity": "1GB"})
    seen, _ = env.reset(seed=0)
    assert not seen["mask"].any()
    assert env.action_masks().tolist() == [True] + 7 * [False]
    env = EvictEnv(**SMALL)
    seen, _ = env.reset(seed=0)
    assert env.action_masks().tolist() == seen["mask"].astype(bool).tolist()


def test_all_fits():
    observations, rewards, info = played(EvictEnv(**SMALL | {"capacity": "1GB"}), last_row)
    assert rewards == [0.0]
    assert (observations[0]["candidates"] == MISSING).all()
    assert info["requests"] == 4000
    assert info["evictions"] == 0
    envs = EvictVectorEnv(2, **SMALL | {"capacity": "1GB"})
    envs.reset(seed=0)
    ends = [envs.step(np.zeros(2, np.int64))[2].tolist() for _ in range(4)]
    assert ends == [[True, True], [False, False], [True, True], [False, False]]


def test_truncated_at_a_decision():
    env = EvictEnv(**SMALL, length=500, start="random")
    for seed in range(5):
        observations, _, info = played(env, last_row, seed)
        first = env.reset(seed=seed)[1]["requests"]
        assert info["requests"] >= first + 500
        assert info["requests"] < first + 600
        assert observations[-1]["mask"].any()
    # At the end of the trace it is terminated, and not truncated as well.
    env.reset(options={"start": 3800})
    terminated = truncated = False
    while not (terminated or truncated):
        *_, terminated, truncated, info = env.step(0)
    assert (terminated, truncated, info["requests"]) == (True, False, 200)


def test_seeds():
    env = EvictEnv(**SMALL, start="random", length=400)

    def three(seed: int | None) -> list[Any]:
        return [env.reset(seed=seed if i == 0 else None)[0]["candidates"] for i in range(3)]

    first, again, other = three(3), three(3), three(4)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not any((a == b).all() for a, b in zip(first, other, strict=True))
    assert not (first[0] == first[1]).all()


@pytest.mark.parametrize(("length", "latest"), [(300, 700), (2000, 0), (None, 500)])
def test_random_starts(length, latest):
    episodes = Episodes(zipf(1000, 100, seed=1), "10obj", start="random", length=length)
    rng = np.random.default_rng(0)
    starts = [episodes.draw(rng, 0).start for _ in range(300)]
    assert max(starts) <= latest
    assert max(starts) - min(starts) >= 0.9 * latest


def test_in_turn_and_options():
    traces = [trap(n_requests=3000, seed=seed) for seed in (1, 2)]
    env = EvictEnv(traces, ["5MB", "8MB"], k=4, order="in turn")
    turns = [(info["trace"], info["capacity"]) for info in (env.reset(seed=0 if i == 0 else None)[1] for i in range(5))]
    assert turns == [(0, 5_000_000), (0, 8_000_000), (1, 5_000_000), (1, 8_000_000), (0, 5_000_000)]
    envs = EvictVectorEnv(4, trace=traces, capacity=["5MB", "8MB"], k=4, order="in turn")
    infos = envs.reset(seed=9)[1]
    assert list(zip(infos["trace"].tolist(), infos["capacity"].tolist(), strict=True)) == turns[:4]
    info = env.reset(options={"trace": 1, "capacity": 0})[1]
    assert (info["trace"], info["capacity"]) == (1, 5_000_000)
    drawn = EvictEnv(traces, ["5MB", "8MB"], k=4)
    pairs = {(i["trace"], i["capacity"]) for i in (drawn.reset(seed=seed)[1] for seed in range(30))}
    assert len(pairs) == 4
    with pytest.raises(UnknownNameError, match="trase"):
        env.reset(options={"trase": 1})
    with pytest.raises(UsageError, match="not among 0"):
        env.reset(options={"trace": 2})


def _naive_reward(kind: str, trace: RequestTrace, seen: Any, who: list[int], at: int, now: int, horizon: int) -> float:
    """What the docstring says, from the trace itself; `now` is the request that waits. Without expiry."""
    ids = trace.ids.tolist()
    if kind == "bounded":
        coming = ids[now + 1 : now + horizon + 1].count(who[at]) / (min(horizon, len(ids) - 1 - now) / 1000)
        mean = seen["context"][1] / seen["context"][2]
        return max(-coming * mean / seen["candidates"][at, COLUMN["size_bytes"]], -60.0)
    return sum(obj in ids[now + 1 :] for i, obj in enumerate(who) if i != at) / len(seen["mask"])


@pytest.mark.parametrize("kind", ["bounded", "paper"])
def test_rewards(kind):
    trace = trap(n_requests=3000, seed=4)
    env = EvictEnv(trace, "10MB", k=6, reward=kind, horizon=40, most=60.0)
    seen, info = env.reset(seed=0)
    dice, values = np.random.default_rng(0), set()
    for _ in range(300):
        now, at = info["requests"], int(dice.integers(6))
        # Two clocks name a resident: times of last requests are distinct in this trace.
        asked = trace.times[now] - seen["candidates"][:, COLUMN["idle_s"]].astype(np.float64)
        who = [int(trace.ids[np.abs(trace.times[: now + 1] - when).argmin()]) for when in asked]
        expected = _naive_reward(kind, trace, seen, who, at, now, 40)
        seen, reward, over, _, info = env.step(at)
        assert reward == pytest.approx(expected, rel=1e-5)
        values.add(round(reward, 6))
        assert not over
    assert len(values) > 4


def test_the_horizon_is_measured():
    trace = zipf(5000, 300, seed=2)
    ids, residents, came, stays = trace.ids.tolist(), [], {}, []
    for now, obj in enumerate(ids):
        if obj in residents:
            residents.remove(obj)
        else:
            came[obj] = now
            if len(residents) == 30:
                gone = residents.pop(0)
                stays.append(now - came[gone])
        residents.append(obj)
    stays += [len(ids) - came[obj] for obj in residents]
    measured = mean_stay(trace, capacity_of("30obj", trace))
    assert measured == pytest.approx(np.mean(stays), rel=0.02)
    for given, horizon in ((None, round(measured)), (7, 7)):
        env = EvictEnv(trace, "30obj", horizon=given)
        env.reset()
        assert env.horizon == horizon


def test_features_that_are_hidden():
    whole, _, _ = played(EvictEnv(**SMALL), last_row)
    paper, _, _ = played(EvictEnv(**SMALL, features="paper"), last_row)
    few, _, _ = played(EvictEnv(**SMALL, features=["idle_s", "recent"]), last_row)
    for a, b, c in zip(whole, paper, few, strict=True):
        np.testing.assert_array_equal(a["candidates"][:, :6], b["candidates"][:, :6])
        assert (b["candidates"][:, 6:] == MISSING).all()
        np.testing.assert_array_equal(a["candidates"][:, [6, 9]], c["candidates"][:, [6, 9]])
        # A size that is not to be seen is 1, since -1 says that a row is nobody.
        np.testing.assert_array_equal(c["candidates"][:, 1], np.where(a["mask"] == 1, 1, MISSING))
    assert len(PAPER) == 6


def test_nothing_returned_changes_later():
    envs = EvictVectorEnv(3, **SMALL)
    kept = [envs.reset(seed=0)]
    frozen = [deepcopy(kept[0])]
    for _ in range(5):
        kept.append(envs.step(np.zeros(3, np.int64)))
        frozen.append(deepcopy(kept[-1]))
    for given, copied in zip(kept, frozen, strict=True):
        same(given, copied)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_side_by_side_as_one_by_one(mode):
    arguments: dict[str, Any] = {
        "trace": [trap(n_requests=400, seed=1), trap(n_requests=500, seed=2)],
        "capacity": ["5MB", "8MB"],
        "k": 6,
        "tail": 3,
        "ttl": "trace",
        "start": "random",
        "length": 300,
    }
    fast = EvictVectorEnv(4, autoreset_mode=mode, **arguments)
    plain = SyncVectorEnv([lambda: EvictEnv(**arguments)] * 4, autoreset_mode=mode)
    assert fast.single_observation_space == plain.single_observation_space
    assert fast.observation_space == plain.observation_space
    assert fast.action_space == plain.action_space
    same(fast.reset(seed=3), plain.reset(seed=3))
    dice, ends = np.random.default_rng(0), np.zeros(2, np.int64)
    for _ in range(1200):
        actions = dice.integers(0, 6, 4)
        left, right = fast.step(actions), plain.step(actions)
        same(left, right)
        np.testing.assert_array_equal(fast.action_masks()[:, 1:], left[0]["mask"][:, 1:] == 1)
        ends += left[2].sum(), left[3].sum()
    assert ends.min() > 0  # terminated and truncated ones


def test_reset_some():
    envs = EvictVectorEnv(3, autoreset_mode="Disabled", **SMALL)
    start, _ = envs.reset(seed=[1, 1, 1])
    np.testing.assert_array_equal(start["candidates"][0], start["candidates"][2])
    seen, *_ = envs.step(np.zeros(3, np.int64))
    mask = np.array([False, True, False])
    after, _ = envs.reset(seed=1, options={"reset_mask": mask})
    np.testing.assert_array_equal(after["candidates"][0], seen["candidates"][0])
    assert not (after["candidates"][1] == seen["candidates"][1]).all()
    with pytest.raises(UsageError, match="2 seeds"):
        envs.reset(seed=[1, 2])
    with pytest.raises(UsageError, match="reset_mask"):
        envs.reset(options={"reset_mask": [1, 0, 0]})


def test_made_by_name():
    env = gymnasium.make("evictlab.rl.envs:evictlab/Evict-v0", trace="trap:requests=500", capacity="5MB", k=64)
    assert isinstance(env.unwrapped, EvictEnv)
    envs = gymnasium.make_vec("evictlab/Evict-v0", num_envs=3, **SMALL)
    assert isinstance(envs.unwrapped, EvictVectorEnv)
    assert envs.num_envs == 3
    evictlab.rl.envs.register_envs()  # once more changes nothing
    assert gymnasium.spec("evictlab/Evict-v0").entry_point == "evictlab.rl.envs.evict:EvictEnv"


def test_registering_loads_little():
    code = (
        "import sys, evictlab.rl.envs as e; print(sorted({'numba', 'torch', 'pandas'} & set(sys.modules)), e.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ['AdmitEnv'")


def test_gymnasium_and_stable_baselines_find_nothing_wrong():
    from stable_baselines3.common.env_checker import check_env

    env = gymnasium.make("evictlab/Evict-v0", **SMALL).unwrapped
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env_checker.check_env(env)
        check_env(env)
    said = {str(one.message) for one in caught}
    # Numbers without a bound, and rows of features: so it is meant.
    assert all("maximum value is infinity" in one or "candidates has an unconventional shape" in one for one in said), (
        said
    )


def test_shown_as_text():
    env = EvictEnv(**SMALL | {"k": 64}, render_mode="ansi")
    env.reset(seed=0)
    lines = (env.render() or "").splitlines()
    assert "0 evictions" in lines[0]
    assert lines[1].split() == ["candidate", *FEATURES]
    assert lines[2].split()[0] == "0"
    env = EvictEnv(**SMALL | {"capacity": "1GB"}, render_mode="ansi")
    env.reset(seed=0)
    assert (env.render() or "").endswith("the trace is over")
    assert EvictEnv(**SMALL).render() is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": 65}, "2 to 64"),
        ({"tail": 9}, "tail=9"),
        ({"reward": "bound"}, "bounded"),
        ({"features": "paperr"}, "'paper'"),
        ({"horizon": 0}, "horizon of 0"),
        ({"most": 0}, "above 0"),
        ({"start": "middle"}, "start"),
        ({"order": "turn"}, "order"),
        ({"length": 0}, "length|nothing to decide"),
        ({"capacity": ["5MB", "50obj"]}, "count objects in one episode and bytes in another"),
        ({"capacity": []}, "no capacity"),
        ({"trace": []}, "nothing to play"),
        ({"trace": "zipf:requests=100,objects=10"}, "no sizes"),
    ],
)
def test_arguments_that_make_no_sense(change, says):
    with pytest.raises(UsageError, match=says):
        EvictEnv(**{**SMALL, **change})


def test_stable_baselines_as_its_own():
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    from evictlab.rl.envs import StableEvictEnv

    arguments = {**SMALL, "start": "random", "length": 200}
    ours = StableEvictEnv(3, **arguments)
    theirs = DummyVecEnv([lambda: Monitor(EvictEnv(**arguments))] * 3)
    assert ours.observation_space == theirs.observation_space
    ours.seed(7)
    theirs.seed(7)
    same(ours.reset(), dict(theirs.reset()))
    dice, ends = np.random.default_rng(0), 0
    for _ in range(400):
        actions = dice.integers(0, 8, 3)
        (seen, rewards, dones, infos), (seen2, rewards2, dones2, infos2) = ours.step(actions), theirs.step(actions)
        same(seen, dict(seen2))
        np.testing.assert_array_equal(rewards, rewards2)
        np.testing.assert_array_equal(dones, dones2)
        for i in np.flatnonzero(dones):
            mine, other = infos[i], infos2[i]
            same(mine.pop("terminal_observation"), other.pop("terminal_observation"))
            (a, b) = mine.pop("episode"), other.pop("episode")
            assert (a["r"], a["l"]) == (pytest.approx(b["r"], abs=1e-5), b["l"])
            assert mine == other
            ends += 1
        assert all(info == {} for info, done in zip(infos, dones, strict=True) if not done)
    assert ends > 5
    np.testing.assert_array_equal(np.stack(ours.env_method("action_masks"))[:, 1:], seen["mask"][:, 1:] == 1)
    assert ours.env_is_wrapped(Monitor) == [True] * 3
    with pytest.raises(UsageError, match="cannot be set"):
        ours.set_attr("k", 3)


@pytest.mark.slow
def test_stable_baselines_learns():
    from sb3_contrib import MaskablePPO
    from stable_baselines3 import DQN
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import VecNormalize

    from evictlab.rl.envs import StableEvictEnv

    envs = VecNormalize(StableEvictEnv(4, **SMALL, length=60), norm_obs_keys=["candidates", "context"])
    dqn = DQN("MultiInputPolicy", envs, learning_starts=100, buffer_size=1000, batch_size=16, seed=0, device="cpu")
    dqn.learn(500)
    assert len(dqn.ep_info_buffer or ()) > 0
    ppo = MaskablePPO("MultiInputPolicy", envs, n_steps=64, batch_size=64, n_epochs=2, seed=0, device="cpu")
    ppo.learn(500)
    returns, lengths = evaluate_policy(dqn, envs, n_eval_episodes=4, return_episode_rewards=True)
    assert min(lengths) > 20
    assert np.isfinite(returns).all()
