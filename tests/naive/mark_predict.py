"""Mark&Predict over three lists; gaps are closed from each list's end, as the array of the policy does."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below

CASES = ["mark_predict@truth", "mark_predict@noisy:p=0.3", "mark_predict@noisy:p=0.8"]


class Naive:
    def __init__(self, capacity, phase, seed, **_):
        self.capacity, self.phase, self.bit = capacity, phase, {}
        self.ones, self.zeros, self.marked = [], [], []
        self.rng = np.random.SeedSequence(seed).generate_state(1, np.uint64)

    def resident(self, obj):
        return obj in self.ones + self.zeros + self.marked

    def request(self, obj, size, now):
        if obj in self.ones + self.zeros:
            self.take(obj)
            self.marked.insert(0, obj)
        elif obj not in self.marked:
            if len(self.ones + self.zeros + self.marked) == self.capacity:
                if not self.ones + self.zeros:
                    self.begin_phase()
                drawn_from = self.ones or self.zeros
                self.take(drawn_from[int(random_below(self.rng, len(drawn_from)))])
                if self.marked:
                    self.marked.insert(0, self.marked.pop())
            self.marked.append(obj)
        self.bit[obj] = self.phase[now]

    def begin_phase(self):
        everyone, self.marked = self.marked, []
        count = 0
        for at, obj in enumerate(everyone):
            if self.bit[obj] == 1:
                everyone[at], everyone[count] = everyone[count], obj
                count += 1
        self.ones, self.zeros = everyone[:count], everyone[count:]

    def take(self, obj):
        if obj in self.ones:
            self.fill(self.ones, obj, self.ones.pop())
            if self.zeros:  # the gap moved to the end of the ones, where the zeros begin
                self.zeros.insert(0, self.zeros.pop())
        else:
            self.fill(self.zeros, obj, self.zeros.pop())

    def fill(self, group, obj, last):
        if last != obj:
            group[group.index(obj)] = last
