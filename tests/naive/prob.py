"""Probabilistic admission, drawing from the same stream of random numbers."""

from __future__ import annotations

from evictlab.policies import Setting
from evictlab.policies.random import random_unit

CASES = ["prob+lru", "prob:prob=0.1+sieve", "prob:prob=1.0+lru"]


class Naive:
    def __init__(self, capacity, inner, seed, prob, **_):
        self.inner, self.prob, self.rng = inner, prob, Setting(1, 1, seed=seed).random_state()

    def resident(self, obj):
        return self.inner.resident(obj)

    def request(self, obj, size, now):
        if not self.resident(obj) and random_unit(self.rng) >= self.prob:
            return False
        return self.inner.request(obj, size, now)
