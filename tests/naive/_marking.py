"""Marking over a list of slots, with predicted times; who is thrown away is left to `victim`."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below


class Marking:
    def __init__(self, capacity, next_use, seed, **_):
        self.capacity, self.predicted = capacity, next_use
        self.slots, self.due, self.unmarked, self.stale = [], [], [], []
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
            if not self.unmarked:
                self.unmarked, self.stale = list(range(self.capacity)), list(self.slots)
                self.new_phase()
            slot = self.victim(obj)
            self.slots[slot] = obj
        self.due[slot] = self.predicted[now]
        if slot in self.unmarked:
            at, last = self.unmarked.index(slot), self.unmarked.pop()
            if at < len(self.unmarked):
                self.unmarked[at] = last

    def new_phase(self):
        pass

    def below(self, n):
        return int(random_below(self.rng, n))

    def drawn(self):
        return self.unmarked[self.below(len(self.unmarked))]

    def due_last(self, slots):
        return max(slots, key=lambda slot: (self.due[slot], slot))
