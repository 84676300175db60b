"""Laws for every policy: whoever is registered is judged here, without being named.

Besides the registered ones: a plug-in file, an object with methods, and some compositions of admission and eviction.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_policy import (
    BLIND_TO_NAMES,
    EVERY,
    REGISTERED,
    RULES,
    N,
    can,
    is_random,
    modes,
    run,
    short_trace,
)

from evictlab.policies import Policy, Setting, parse_policy, registry
from evictlab.policies.contract import KEPT, find, kernels_of, peek
from evictlab.sim import loop as at
from evictlab.sim.job import Job, check_capable
from evictlab.traces.errors import CapabilityError, UsageError
from evictlab.traces.request import RequestTrace

from interpreted import next_use_of, run_policy

pytestmark = pytest.mark.usefixtures("plug_in")
every = pytest.mark.parametrize("policy", EVERY, indirect=True)


class Watched:
    """An interpreted replay that looks into the cache before and after each call of the policy's functions."""

    def __init__(self, policy: Policy, trace: dict[str, Any], capacity: int, with_sizes: bool) -> None:
        self.ids, self.capacity = trace["ids"], capacity
        self.sizes = trace["sizes"] if with_sizes else None
        self.stored = np.zeros(N, np.int64) if with_sizes else None
        ttls = trace["ttls"] if with_sizes and can(policy, "ttl") else None
        costs = trace["costs"] if with_sizes else None
        self.state = policy.make(
            Setting(
                N,
                capacity,
                self.stored,
                0,
                costs,
                self.sizes,
                lambda: next_use_of(self.ids),
                RequestTrace(self.ids, N),
                times=trace["times"] if with_sizes else None,
                ttls=ttls,
            ),
        )
        self.counts = np.zeros(at.COUNTERS, np.int64)
        self.outcomes = np.zeros(len(self.ids), np.uint8)
        expires = None if ttls is None else np.zeros(N)
        saved = None if costs is None else np.zeros(2)
        self.released: set[int] = set()
        watched = {
            "hit": self.hit,
            "insert": self.insert,
            "evict": self.evict,
            "admit": self.admit,
            "release": self.release,
        }
        watching = types.FunctionType(at.loop.__code__, {**at.loop.__globals__, **watched})
        times = trace["times"] if with_sizes else None
        self.step = lambda i: watching(
            self.ids, self.sizes, times, ttls, costs, self.stored, expires,
            self.outcomes, i, i + 1, capacity, self.counts, saved, self.state,
        )  # fmt: skip

    def residents(self) -> set[int]:
        return {obj for obj in range(N) if find(self.state, np.int32(obj))}

    def hit(self, state, obj, now, size):
        before = self.residents()
        kernels_of(state).hit(state, obj, now, size)
        assert self.residents() == before, "a hit changed who is resident"

    def insert(self, state, obj, now, size):
        before = self.residents()
        kernels_of(state).insert(state, obj, now, size)
        assert self.residents() == before | {int(obj)}, "insert makes the newcomer resident and nobody else"

    def admit(self, state, obj, now, size):
        before = self.residents()
        verdict = kernels_of(state).admit(state, obj, now, size)
        assert self.residents() == before, "admit changed who is resident"
        return verdict

    def evict(self, state, obj, now, size):
        before = self.residents()
        named = None if kernels_of(state).peek is None else peek(state, obj, now, size)
        assert self.residents() == before, "peek changed who is resident"
        victim = kernels_of(state).evict(state, obj, now, size)
        assert victim == obj or victim in before, "the victim was not resident"
        assert self.residents() == before - {int(victim)}, "evict removes the victim and nobody else"
        assert named is None or victim in (named, obj), "peek named another victim"
        return victim

    def release(self, state, obj, now, size):
        before = self.residents()
        gone = kernels_of(state).release(state, obj, now, size)
        self.released = self.released | {int(gone)} if gone != KEPT else self.released
        assert gone == KEPT or gone in before, "who was released was not resident"
        assert self.residents() == before - {int(gone)}, "release removes whom it names and nobody else"
        return gone


class TestBooks:
    @every
    def test_the_cache_holds_what_the_books_say(self, policy):
        for with_sizes in modes(policy):
            for seed, capacity in enumerate((1, 4, 7, 11, 25) if with_sizes else (1, 2, 3, 6, 11)):
                watched = Watched(policy, short_trace(seed), capacity, with_sizes)
                for i in range(len(watched.ids)):
                    watched.released = set()
                    watched.step(i)
                    residents, used = watched.residents(), watched.counts[at.USED]
                    assert used <= capacity
                    if with_sizes:
                        assert used == watched.stored.sum() == watched.stored[list(residents)].sum()
                    else:
                        assert used == len(residents)
                    admitted = watched.outcomes[i] != at.REFUSED_MISS
                    obj = int(watched.ids[i])
                    assert (obj in residents) == (admitted and obj not in watched.released)
                outcomes, counts = watched.outcomes, watched.counts
                assert counts[at.REQUESTS] == len(outcomes)
                assert counts[at.HITS] == (outcomes == at.HIT).sum()
                assert counts[at.EXPIRED] == (outcomes == at.EXPIRED_MISS).sum()
                assert counts[at.REFUSED] + counts[at.TOO_LARGE] == (outcomes == at.REFUSED_MISS).sum()

    @every
    def test_room_for_all_means_nobody_leaves(self, policy):
        trace = short_trace(7)
        trace["ttls"][:] = np.inf
        for with_sizes in modes(policy):
            footprint = sum({int(o): int(s) for o, s in zip(trace["ids"], trace["sizes"], strict=True)}.values())
            outcomes = run(policy, trace, footprint if with_sizes else N, with_sizes)
            for obj in range(N):
                story = [outcome for i, outcome in zip(trace["ids"], outcomes, strict=True) if i == obj]
                refused = story.count(at.REFUSED_MISS)
                assert story[refused:] in ([], [at.MISS, *[at.HIT] * (len(story) - refused - 1)])
                assert refused == 0 or with_sizes or any(part.spec.admission for part in policy.parts())


class TestSeeds:
    @every
    def test_outcomes_depend_on_the_seed_only_where_it_is_said(self, policy):
        for with_sizes in modes(policy):
            first = run(policy, short_trace(3), 6, with_sizes, seed=1)
            assert run(policy, short_trace(3), 6, with_sizes, seed=1) == first
            if not is_random(policy):
                assert run(policy, short_trace(3), 6, with_sizes, seed=2) == first


class TestNames:
    @pytest.mark.parametrize("policy", BLIND_TO_NAMES, indirect=True)
    def test_renaming_objects_changes_nothing(self, policy):
        trace = short_trace(5)
        names = np.random.default_rng(0).permutation(N).astype(np.int32)
        for with_sizes in modes(policy):
            as_it_is = run(policy, trace, 6, with_sizes)
            assert run(policy, {**trace, "ids": names[trace["ids"]]}, 6, with_sizes) == as_it_is

    @every
    def test_all_sizes_one_is_counting_objects(self, policy):
        trace = short_trace(6)
        ones = {**trace, "sizes": np.ones_like(trace["sizes"]), "ttls": np.full_like(trace["ttls"], np.inf)}
        if can(policy, "sizes") and not can(policy, "cost"):
            for capacity in (1, 3, 6):
                assert run(policy, ones, capacity, True) == run(policy, ones, capacity, False)
        elif can(policy, "sizes"):  # costs would make a difference of their own
            outcomes = [run_policy(policy, ones["ids"], 6, sizes)[0] for sizes in (None, ones["sizes"])]
            assert outcomes[0] == outcomes[1]


def fewest_misses(ids: np.ndarray, capacity: int) -> int:
    """Misses of the best of all policies that may refuse a newcomer: keep those that are needed soonest."""
    next_use, cache, misses = next_use_of(ids), {}, 0
    for i, obj in enumerate(ids.tolist()):
        misses += obj not in cache
        cache[obj] = next_use[i]
        if len(cache) > capacity:
            del cache[max(cache, key=cache.__getitem__)]
    return misses


class TestOptimum:
    @every
    def test_nobody_beats_the_optimum(self, policy):
        for seed in range(6):
            trace = short_trace(seed)
            for capacity in (1, 2, 5, 9):
                outcomes = run(policy, trace, capacity, False)
                assert len(outcomes) - outcomes.count(at.HIT) >= fewest_misses(trace["ids"], capacity)

    @pytest.mark.parametrize("name", ["lru", "fifo", "clock"])
    def test_a_loop_over_one_object_too_many_never_hits(self, name):
        outcomes, _ = run_policy(name, np.arange(60) % 6, 5)
        assert outcomes == [at.MISS] * 60


LONGER = 700


@pytest.fixture(scope="module")
def longer_trace() -> RequestTrace:
    rng = np.random.default_rng(11)
    keys = np.minimum(rng.zipf(1.2, LONGER), 90)
    return RequestTrace.from_columns(
        keys,
        sizes=rng.integers(1, 60, 91)[keys],
        times=np.cumsum(rng.random(LONGER)),
        ttls=np.array([5.0, 100.0, np.inf])[keys % 3],
        costs=1.0 + keys % 4,
        name="longer",
    )


class TestEngines:
    """Compiled as a user's replay is: one compilation for counting objects, one for bytes with all that a trace can have."""

    @every
    def test_compiled_equals_interpreted_and_pieces_equal_the_whole(self, policy, longer_trace):
        t = longer_trace
        bare = RequestTrace(t.ids, t.n_objects, provenance=t.provenance)
        for with_sizes in modes(policy):
            trace, capacity = (t, 400) if with_sizes else (bare, 12)
            ttls = t.ttls if with_sizes and can(policy, "ttl") else None
            args = {"byte_sizes": with_sizes, "ttls": ttls, "seed": 3}
            job, whole = Job(trace, policy, capacity, **args), Job(trace, policy, capacity, **args)
            whole.run(LONGER)
            stepped = []
            for i in range(LONGER):
                job.run(i + 1)
                stepped.append(job.counts.copy())
            assert job.counts.tolist() == whole.counts.tolist()
            assert job.saved is whole.saved is None or job.saved.tolist() == whole.saved.tolist()

            sizes, times, costs = (t.sizes, t.times, t.costs) if with_sizes else (None, None, None)
            outcomes, counts = run_policy(
                policy, t.ids, capacity, sizes, times if ttls is not None else None, ttls, costs, 3
            )
            hits = np.diff(np.array(stepped)[:, at.HITS], prepend=0)
            assert hits.tolist() == [int(outcome == at.HIT) for outcome in outcomes]
            assert counts.tolist() == whole.counts.tolist()


class TestCapabilities:
    """A policy that lacks what the trace needs is refused, with the reason."""

    @every
    def test_sizes_and_lifetimes(self, policy, longer_trace):
        for capability, asked in (
            ("sizes", {"byte_sizes": True, "ttl": False}),
            ("ttl", {"byte_sizes": False, "ttl": True}),
        ):
            if can(policy, capability):
                check_capable(policy, longer_trace, **asked)
            else:
                with pytest.raises(CapabilityError, match="sizes" if capability == "sizes" else "expire"):
                    check_capable(policy, longer_trace, **asked)

    @every
    def test_the_future_is_read_only_where_it_is_said(self, policy):
        setting = Setting(N, 3)
        if any(part.spec.next_use for part in policy.parts()):
            with pytest.raises(CapabilityError, match="whole trace in advance"):
                policy.make(setting)
        elif policy.predictions:
            with pytest.raises(CapabilityError, match="predicts a trace beforehand"):
                policy.make(setting)
        else:
            policy.make(setting)

    @pytest.mark.parametrize("rule", RULES)
    def test_a_rule_of_admission_alone_is_no_cache(self, rule, longer_trace):
        with pytest.raises(UsageError, match=rf"{rule}\+lru"):
            parse_policy(rule).make(Setting(N, 3))
        with pytest.raises(CapabilityError, match=rf"{rule}\+lru"):
            check_capable(parse_policy(rule), longer_trace, byte_sizes=False, ttl=False)


class TestRegistry:
    @pytest.mark.parametrize("spec", REGISTERED, ids=lambda spec: spec.name)
    def test_what_is_said_about_a_policy(self, spec):
        assert (
            1960 <= spec.year <= 2026
            and spec.source.startswith("https://")
            and spec.title
            and spec.summary.endswith(".")
        )
        policy = spec.params()
        assert policy.label == spec.name and parse_policy(spec.name) == policy
        for name in policy.parameters():
            assert f"{name} :" in (spec.params.__doc__ or ""), f"{spec.name} does not document its parameter {name}"

    def test_every_policy_has_its_file(self):
        folder = Path(registry.__file__).parent
        places = [*folder.glob("cache/*/*.py"), *folder.glob("predictive/*/*.py")]
        files = {path.stem for path in places if not path.stem.startswith("_")}
        assert files == {spec.name for spec in REGISTERED if spec.family != "plug-in"}
