"""Guard over lists of slots: the old, the unguarded; and the objects thrown away in this phase."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below

CASES = ["guard@truth", "guard@pleco", "guard@noisy:p=0.3", "guard@popu", "guard@noisy:p=1"]


class Naive:
    def __init__(self, capacity, next_use, seed, **_):
        self.capacity, self.predicted, self.slots, self.due = capacity, next_use, [], []
        self.old, self.unguarded, self.thrown = [], [], []
        self.rng = np.random.SeedSequence(seed).generate_state(1, np.uint64)

    def resident(self, obj):
        return obj in self.slots

    def request(self, obj, size, now):
        if obj in self.slots:
            slot = self.slots.index(obj)
        elif len(self.slots) < self.capacity:
            slot = len(self.slots)
            self.slots.append(obj)
            self.due.append(None)
        else:
            if not self.old:
                self.old, self.unguarded, self.thrown = [*range(self.capacity)], [*range(self.capacity)], []
            if obj in self.thrown:
                slot = self.old[int(random_below(self.rng, len(self.old)))]
                self.unguarded.remove(slot)
            else:
                slot = max(self.unguarded, key=lambda slot: (self.due[slot], -slot))
            self.thrown.append(self.slots[slot])
            self.slots[slot] = obj
        self.due[slot] = self.predicted[now]
        if slot in self.old:
            at, last = self.old.index(slot), self.old.pop()
            if at < len(self.old):
                self.old[at] = last
