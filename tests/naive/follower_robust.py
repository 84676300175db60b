"""F&R over sets; the optimum of each prefix is Belady's, run anew."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below

from . import blind_oracle
from ._lazy import Lazy

CASES = [
    "follower_robust@truth",
    "follower_robust@pleco",
    "follower_robust@popu",
    "follower_robust@noisy:p=0.3",
    "follower_robust@noisy:p=1",
    "follower_robust:victim=random@noisy:p=0.5",
]


def optimum(ids, capacity):
    """Misses of Belady's MIN."""
    cache, misses = set(), 0
    for i, obj in enumerate(ids):
        if obj not in cache:
            misses += 1
            if len(cache) == capacity:
                cache.remove(max(cache, key=lambda o: ids.index(o, i) if o in ids[i:] else len(ids)))
            cache.add(obj)
    return misses


class Pool:
    """Whom the model may evict, those whom P does not hold first: the order matters only for who is drawn."""

    def __init__(self):
        self.members, self.unpredicted = [], 0

    def swap(self, obj, at):
        old = self.members.index(obj)
        self.members[old], self.members[at] = self.members[at], obj

    def join(self, obj, believed):
        self.members.append(obj)
        if not believed:
            self.disbelieve(obj)

    def disbelieve(self, obj):
        self.swap(obj, self.unpredicted)
        self.unpredicted += 1

    def believe(self, obj):
        self.unpredicted -= 1
        self.swap(obj, self.unpredicted)

    def quit(self, obj):
        if self.members.index(obj) < self.unpredicted:
            self.believe(obj)
        self.swap(obj, -1)
        self.members.pop()


class Naive(Lazy):
    def __init__(self, capacity, next_use, seed, victim, **_):
        super().__init__(capacity)
        self.predicted, self.by_lru = blind_oracle.Naive(capacity, next_use), victim == "lru"
        self.rng = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self.seen, self.model, self.believed, self.changed, self.pool = [], set(), set(), [], Pool()
        self.is_robust, self.loaded, self.arrived, self.missing = False, set(), set(), set()
        self.windows = {capacity - capacity // 2**i + 1 for i in range(capacity.bit_length())}

    def request(self, obj, size, now):
        before = set(self.predicted.slots)
        self.predicted.request(obj, 1, now)
        changes = [obj, *(before - set(self.predicted.slots))] if obj not in before else []
        self.changed += [other for other in changes if other not in self.changed]
        if not self.is_robust:
            self.follow(obj)
        if self.is_robust:
            self.be_robust(obj)
        self.seen.append(obj)
        if self.is_robust and len(self.arrived) == self.capacity:
            self.is_robust = False
            assert self.model == set(self.last_requested())
            self.refill()
        self.serve(obj, now, self.model)

    def last_requested(self):
        return list(dict.fromkeys(self.seen[::-1]))[: self.capacity][::-1]

    def refill(self):
        self.pool = Pool()
        for obj in self.last_requested():
            self.pool.join(obj, obj in self.believed)

    def ask(self):
        self.believed = set(self.predicted.slots)
        for obj in self.changed:
            if obj in self.pool.members:
                was = self.pool.members.index(obj) >= self.pool.unpredicted
                if was and obj not in self.believed:
                    self.pool.disbelieve(obj)
                elif obj in self.believed and not was:
                    self.pool.believe(obj)
        self.changed = []

    def evict(self, candidates, drawn):
        at_random = candidates[int(random_below(self.rng, len(candidates)))] if drawn else None
        victim = at_random if drawn else max(candidates, key=self.seen[::-1].index)
        self.pool.quit(victim)
        self.model.remove(victim)

    def follow(self, obj):
        if obj in self.model:
            return
        if len(self.model) == self.capacity:
            before, after = (optimum(ids, self.capacity) for ids in (self.seen, [*self.seen, obj]))
            if obj not in self.believed and after > before:
                self.ask()
            if obj not in self.believed:
                self.is_robust, self.arrived, self.missing = True, set(), set()
                self.model, self.loaded = set(self.last_requested()), set(self.last_requested())
                self.refill()
                return
            assert set(self.pool.members[: self.pool.unpredicted]) == self.model - self.believed
            self.evict(self.pool.members[: self.pool.unpredicted], not self.by_lru)
        else:
            self.ask()
        self.model.add(obj)
        self.pool.join(obj, obj in self.believed)

    def be_robust(self, obj):
        if obj not in self.arrived:
            self.arrived.add(obj)
            if obj in self.pool.members:
                self.pool.quit(obj)
            if len(self.arrived) in self.windows:
                self.ask()
                still_open = self.loaded - self.arrived | self.loaded & {obj}
                self.missing = (still_open & self.believed) - self.model
        if obj not in self.model:
            unmarked = self.model - self.arrived
            assert set(self.pool.members) == unmarked
            if obj not in self.loaded or obj in self.missing:
                outside = self.pool.members[: self.pool.unpredicted]
                assert set(outside) == unmarked - self.believed
                self.evict(outside or self.pool.members, not self.by_lru)
            else:
                self.evict(self.pool.members, True)
            self.model.add(obj)
