"""Blum-Burch with its two weights."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below, random_unit

from ._combined import Combined

CASES = [
    "blum_burch+marker+blind_oracle@noisy:p=0.5",
    "blum_burch+mru+lru",
    "blum_burch:eps=1+mark_predict+fifo@noisy:p=0.3",
    "blum_burch+follow_leader+mru+lru+random",
]


class Naive(Combined):
    def __init__(self, capacity, first, second, n_objects, seed, eps, **_):
        super().__init__(capacity, first, second, n_objects)
        self.rng = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self.leader, self.weights, self.beta = int(random_below(self.rng, 2)), [1.0, 1.0], 1 - eps / 2

    def choose(self, missed):
        before = self.weights[self.leader] / sum(self.weights)
        self.weights = [w * self.beta**miss for w, miss in zip(self.weights, missed, strict=True)]
        after = self.weights[self.leader] / sum(self.weights)
        if missed[self.leader] > missed[1 - self.leader] and random_unit(self.rng) < (before - after) / before:
            self.leader = 1 - self.leader
        return self.leader
