"""Random over a list; the last takes the victim's place."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below


class Naive:
    def __init__(self, capacity, seed, **_):
        self.capacity, self.members, self.size = capacity, [], {}
        self.rng = np.random.SeedSequence(seed).generate_state(1, np.uint64)

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj in self.size:
            return
        while sum(self.size.values()) + size > self.capacity:
            at = int(random_below(self.rng, len(self.members)))
            self.members[at], self.members[-1] = self.members[-1], self.members[at]
            del self.size[self.members.pop()]
        self.members.append(obj)
        self.size[obj] = size
