"""Marker over two lists; whoever is taken out of the middle is replaced by the last of the unmarked."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below


class Naive:
    def __init__(self, capacity, seed, **_):
        self.capacity, self.unmarked, self.marked, self.size = capacity, [], [], {}
        self.rng = np.random.SeedSequence(seed).generate_state(1, np.uint64)

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj in self.size:
            if obj in self.unmarked:
                self.take(self.unmarked.index(obj))
                self.marked.insert(0, obj)
            return
        while sum(self.size.values()) + size > self.capacity:
            if not self.unmarked:
                self.unmarked, self.marked = self.marked, []
            victim = self.take(int(random_below(self.rng, len(self.unmarked))))
            if self.marked:  # the order that the next phase starts from
                self.marked.insert(0, self.marked.pop())
            del self.size[victim]
        self.marked.append(obj)
        self.size[obj] = size

    def take(self, at):
        obj, last = self.unmarked[at], self.unmarked.pop()
        if at < len(self.unmarked):
            self.unmarked[at] = last
        return obj
