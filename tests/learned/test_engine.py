"""Caches side by side: the policy `cold_rl` when its network drives them, and a plain simulation whoever does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evictlab.policies import parse_policy
from evictlab.policies.learned.model import read_metadata, read_weights
from evictlab.policies.learned.network import make_network
from evictlab.rl.engine import caches as engine
from evictlab.rl.engine.caches import BOUNDED, HITS, PAPER, Caches, Goal
from evictlab.rl.engine.library import make_library
from evictlab.sim.loop import EVICTIONS, HIT, REFUSED
from evictlab.traces import RequestTrace
from evictlab.traces.errors import UsageError
from evictlab.traces.generate import trap, zipf

from interpreted import run_policy
from naive.cold_rl import small_model

ANY = Goal(HITS, 1, 1.0)


def mixed(seed, n=1500, n_objects=60, columns=("sizes", "times", "ttls", "costs")):
    """Some objects are popular, some expire soon, sizes change from request to request, seconds repeat."""
    rng = np.random.default_rng(seed)
    keys = np.minimum(rng.zipf(1.3, n), n_objects) - 1
    given = {
        "sizes": rng.integers(1, 30, n_objects)[keys] + rng.integers(0, 3, n),
        "times": np.cumsum(rng.integers(0, 3, n)).astype(float),
        "ttls": np.array([20.0, 200.0, np.inf, 3.5])[keys % 4],
        "costs": 1.0 + keys % 5,
    }
    return RequestTrace.from_columns(keys, **{name: given[name] for name in columns}, name=f"mixed {seed}")


class Plain:
    """One cache, request by request, over dicts; it stops where someone has to leave, or stay out."""

    def __init__(self, trace, capacity, *, sizes=True, ttl=True, start=0, stop=None):
        self.ids = trace.ids.tolist()[:stop]
        self.n, self.i, self.capacity = len(self.ids), start, capacity
        self.sizes = trace.sizes.tolist() if sizes else [1] * self.n
        self.times = list(range(self.n)) if trace.times is None else trace.times.tolist()
        self.ttls = trace.ttls.tolist() if ttl and trace.ttls is not None else [math.inf] * self.n
        self.resident, self.expires, self.hits, self.requests, self.evictions = {}, {}, 0, 0, 0

    def until_next(self):
        """Replay until a decision is due, or to the end."""
        while self.i < self.n:
            i, obj = self.i, self.ids[self.i]
            if obj in self.resident:
                if self.expires[obj] > self.times[i]:
                    self.hits += 1
                else:
                    self.expires[obj] = self.times[i] + self.ttls[i]
            elif self.sizes[i] <= self.capacity:
                self.expires[obj] = self.times[i] + self.ttls[i]
                if sum(self.resident.values()) + self.sizes[i] > self.capacity:
                    return False
                self.resident[obj] = self.sizes[i]
            self.requests += 1
            self.i += 1
        return True

    def evict(self, obj):
        if obj in self.resident:
            del self.resident[obj]
            self.evictions += 1
        else:
            assert obj == self.ids[self.i]
            self.requests += 1
            self.i += 1

    def coming(self, obj):
        return [j for j in range(self.i + 1, self.n) if self.ids[j] == obj]

    def future(self, obj, horizon):
        """Hits within the horizon if it stays, and for how many thousand requests it is fresh."""
        now, stop, expires = self.times[self.i], min(self.i + horizon, self.n - 1), self.expires[obj]
        if expires <= now:
            return 0, horizon / 1000
        fresh = stop - self.i
        if expires < self.times[stop]:
            fresh *= (expires - now) / (self.times[stop] - now)
        saved = sum(j <= stop and self.times[j] < expires for j in self.coming(obj))
        return saved, max(fresh, horizon / 8) / 1000

    def reward(self, kind, obj, among, k, horizon, most):
        if kind == PAPER:
            stay = [one for one in among if one != obj]
            return sum(bool(c := self.coming(one)) and self.times[c[0]] < self.expires[one] for one in stay) / k
        saved, exposure = self.future(obj, horizon)
        size = self.resident.get(obj, self.sizes[self.i])
        density = min(max(self.capacity / len(self.resident) / size, 1 / 256), 256)
        return max(-saved / exposure * density, -most)


def who(caches, b):
    return caches._state.who[b, : caches.candidates[b]].tolist()


@pytest.mark.parametrize("kind", [HITS, PAPER, BOUNDED], ids=["hits", "paper", "bounded"])
@pytest.mark.parametrize("sizes", [True, False], ids=["bytes", "objects"])
def test_everything_as_in_a_plain_simulation(kind, sizes):
    traces = [mixed(1), mixed(2, 700, 30), mixed(3, columns=("sizes",))]
    library = make_library(traces, byte_sizes=sizes, ttl="trace" if traces[0].ttls is not None else None)
    capacities, horizon, most = ([150, 90, 200] if sizes else [9, 6, 12]), 40, 300.0
    caches = Caches(library, 3, k=5, tail=2, goal=Goal(kind, horizon, most), hindsight=True)
    plain = [Plain(trace, c, sizes=sizes) for trace, c in zip(traces, capacities, strict=True)]
    for b, capacity in enumerate(capacities):
        caches.begin(b, b, capacity)
        plain[b].until_next()
    rng, rewards, refused = np.random.default_rng(0), set(), 0
    while not caches.done.all():
        actions, expected = rng.integers(-1, 6, 3), np.zeros(3)
        for b in np.flatnonzero(~caches.done):
            among = who(caches, b)
            assert set(among) <= {*plain[b].resident, plain[b].ids[plain[b].i]}
            for j, obj in enumerate(among):
                saved, exposure = plain[b].future(obj, horizon)
                assert caches.hits[b, j] == saved
                assert caches.exposure[b, j] == pytest.approx(exposure, rel=1e-6)
            victim = among[actions[b]] if 0 <= actions[b] < len(among) else among[0]
            refused += victim not in plain[b].resident
            if kind != HITS:
                expected[b] = plain[b].reward(kind, victim, among, 5, horizon, most)
            plain[b].evict(victim)
            before = plain[b].hits, plain[b].requests
            plain[b].until_next()
            if kind == HITS:
                expected[b] = (plain[b].hits - before[0]) / max(plain[b].requests - before[1], 1)
        caches.step(actions)
        np.testing.assert_allclose(caches.rewards, expected, rtol=1e-6)
        rewards |= set(np.round(expected, 6))
        found = caches.numbers[:, [engine._POSITION, engine._HITS, engine._REQUESTS, engine._EVICTIONS]]
        assert found.tolist() == [[p.i, p.hits, p.requests, p.evictions] for p in plain]
        assert caches.done.tolist() == [p.i == p.n for p in plain]
    assert refused > 20
    assert len(rewards) > (4 if kind == PAPER else 10)


def driven(caches, network):
    """Let a network decide; return where and with how many hits each decision stood, per cache."""
    stops = [[] for _ in caches.done]
    while not caches.done.all():
        for b in np.flatnonzero(~caches.done):
            stops[b].append(caches.numbers[b, [engine._POSITION, engine._HITS]].tolist())
        caches.step(caches.best(network))
    return stops


@pytest.mark.parametrize("model", ["trap", "set", "flat"])
def test_driven_by_the_network_it_is_the_policy(model, tmp_path):
    """Hits are compared at every decision: a single other victim shows."""
    label = "cold_rl" if model == "trap" else f"cold_rl:{small_model(tmp_path / model, model)}"
    folder = parse_policy(label).folder
    known = read_metadata(folder)
    network = make_network(known.network, read_weights(folder), known.k)
    real, evicted, refused = trap(n_requests=2500, seed=6), 0, 0
    cases = [
        (real, 20_000_000, True, "trace"),
        (mixed(1), 150, True, "trace"),
        (mixed(2, columns=("sizes",)), 150, True, None),
        (zipf(2000, 300, seed=1), 40, False, None),
        (mixed(4, columns=("times", "ttls")), 9, False, "trace"),
    ]
    for seed, (trace, capacity, sizes, ttl) in enumerate(cases):
        other = trace if trace.times is None or trace.sizes is None else real
        library = make_library([other, trace], byte_sizes=sizes, ttl=ttl)
        caches = Caches(library, 2, k=known.k, tail=known.tail, goal=ANY)
        for b in range(2):
            caches.begin(b, 1, capacity, seed=seed + 100 * b)
        stops = driven(caches, network)
        for b in range(2):
            given = (trace.sizes if sizes else None, trace.times, trace.ttls if ttl else None, trace.costs)
            outcomes, counts = run_policy(label, trace.ids, capacity, *given, seed=seed + 100 * b, compiled=True)
            hits = np.concatenate([[0], np.cumsum(np.asarray(outcomes) == HIT)])
            assert [[i, hits[i]] for i, _ in stops[b]] == stops[b], (seed, b)
            assert caches.numbers[b, engine._HITS] == hits[-1]
            assert caches.numbers[b, engine._EVICTIONS] == counts[EVICTIONS]
            assert caches.numbers[b, engine._REQUESTS] == len(trace)
            evicted, refused = evicted + counts[EVICTIONS], refused + counts[REFUSED]
    assert min(evicted, refused) > 300


def test_a_part_of_a_trace_is_a_trace():
    """Neither what was before nor what comes after is seen."""
    whole = mixed(5)
    part = whole[300:900]
    one = Caches(make_library([whole], ttl="trace"), 1, k=6, tail=2, goal=Goal(BOUNDED, 50, 60.0), hindsight=True)
    two = Caches(make_library([part], ttl="trace"), 1, k=6, tail=2, goal=Goal(BOUNDED, 50, 60.0), hindsight=True)
    one.begin(0, 0, 150, 300, 900, seed=4)
    two.begin(0, 0, 150, seed=4)
    decisions = 0
    while not one.done[0]:
        for name in ("rows", "context", "hits", "exposure", "rewards", "candidates", "done"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name), name)
        assert one.numbers[0, engine._POSITION] - 300 == two.numbers[0, engine._POSITION]
        action = np.array([decisions % 6])
        one.step(action)
        two.step(action)
        decisions += 1
    assert two.done[0]
    assert decisions > 100
    assert one.numbers[0, engine._REQUESTS] == 600


def test_after_the_end_nothing_happens_until_it_begins_again():
    trace = mixed(6, 300)
    caches = Caches(make_library([trace]), 2, k=4, tail=1, goal=Goal(BOUNDED, 20, 60.0))
    seen = []
    for _ in range(2):
        caches.begin(0, 0, 100, seed=1)
        caches.begin(1, 0, 10**9, seed=1)  # everything fits
        assert caches.done.tolist() == [False, True]
        assert caches.candidates[1] == 0
        seen.append([])
        while not caches.done[0]:
            seen[-1].append((caches.rows[0].copy(), float(caches.rewards[0])))
            caches.step(np.zeros(2, np.int64))
            assert caches.rewards[1] == 0
        numbers = caches.numbers.copy()
        caches.step(np.ones(2, np.int64))
        assert (caches.numbers == numbers).all()
        assert caches.rewards.tolist() == [0, 0]
    assert len(seen[0]) == len(seen[1]) > 30
    for (rows, reward), (rows_2, reward_2) in zip(*seen, strict=True):
        np.testing.assert_array_equal(rows, rows_2)
        assert reward == reward_2
    hits = caches.numbers[1, engine._HITS]
    assert hits == len(trace) - trace.n_objects


def test_each_game_has_its_horizon():
    #            now                      A comes 2 and 5 requests later, B after 4
    keys = [0, 1, 2, 3, 0, 3, 1, 0, 3, 3]
    trace = RequestTrace.from_columns(keys, sizes=np.ones(10, int))
    expected = {1: [0, 0], 2: [1, 0], 4: [1, 1], 5: [2, 1], 100: [2, 1]}
    for horizon, hits in expected.items():
        caches = Caches(make_library([trace]), 1, k=3, tail=2, goal=Goal(BOUNDED, 7, 1e9), hindsight=True)
        caches.begin(0, 0, 2, horizon=horizon)
        assert who(caches, 0) == [0, 1, 2]
        assert caches.hits[0].tolist() == [*hits, 0]
        exposure = max(min(horizon, 7), horizon / 8) / 1000
        assert caches.exposure[0] == pytest.approx([exposure] * 3)
        caches.step(np.array([0]))
        assert caches.rewards[0] == pytest.approx(-hits[0] / exposure)
    caches.begin(0, 0, 2)  # without one, that of the goal
    assert caches.numbers[0, engine._HORIZON] == 7


def test_a_reward_has_a_floor():
    trace = RequestTrace.from_columns([0, 1, *[0] * 50], sizes=np.ones(52, int))
    caches = Caches(make_library([trace]), 1, k=3, tail=2, goal=Goal(BOUNDED, 40, 20.0))
    caches.begin(0, 0, 1)
    assert who(caches, 0) == [0, 1]
    caches.step(np.array([0]))
    assert caches.rewards[0] == -20


def test_a_library_needs_something_to_play():
    with pytest.raises(UsageError, match="no trace to learn from"):
        make_library([])
    with pytest.raises(UsageError, match="no sizes"):
        make_library([zipf(100, 10)])
    both = make_library([mixed(1), mixed(2, 700, 30)], ttl="trace")
    assert both.begins.tolist() == [0, 1500, 2200]
    assert len(both) == 2
    assert both.n_objects == max(mixed(1).n_objects, mixed(2, 700, 30).n_objects)
    assert np.isinf(make_library([mixed(1)]).ttls).all()
