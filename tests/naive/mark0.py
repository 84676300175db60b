"""Mark0 over two lists; lazy: a list of what it gave up but may still hold."""

from __future__ import annotations

import numpy as np

from evictlab.policies.random import random_below

CASES = [
    "mark0@truth",
    "mark0@noisy:p=0.3",
    "mark0:lazy=false@truth",
    "mark0:lazy=false@noisy:p=0.3",
    "mark0@noisy:p=1",
]


class Naive:
    def __init__(self, capacity, discard, seed, lazy, **_):
        self.capacity, self.discard, self.lazy = capacity, discard, lazy
        self.unmarked, self.others, self.left = [], [], []
        self.rng = np.random.SeedSequence(seed).generate_state(1, np.uint64)

    def resident(self, obj):
        return obj in self.unmarked + self.others + self.left

    def request(self, obj, size, now):
        if obj in self.unmarked:
            self.replace(self.unmarked.index(obj))
            self.others.insert(0, obj)
        elif obj not in self.others:
            stays = obj in self.left
            if self.discard[now] == 0 and stays:
                self.left.remove(obj)
            if len(self.unmarked + self.others) == self.capacity:
                self.give_up()
            if obj in self.left:
                self.left.remove(obj)
            if not stays and len(self.unmarked + self.others + self.left) == self.capacity:
                self.left.pop(0)
            self.others.append(obj)
        if self.discard[now] == 1:
            at, last = self.others.index(obj), self.others.pop()
            if at < len(self.others):
                self.others[at] = last
            self.left += [obj] * self.lazy

    def give_up(self):
        if not self.unmarked:
            self.unmarked, self.others = self.others, []
        victim = self.replace(int(random_below(self.rng, len(self.unmarked))))
        if self.others:  # the order that the next phase starts from
            self.others.insert(0, self.others.pop())
        self.left += [victim] * self.lazy

    def replace(self, at):
        obj, last = self.unmarked[at], self.unmarked.pop()
        if at < len(self.unmarked):
            self.unmarked[at] = last
        return obj
