"""Hyperbolic caching over a Python list; who leaves, the last takes the place of."""

from __future__ import annotations

from naive._stream import Stream

CASES = ["hyperbolic", "hyperbolic:sample=2"]


class Naive:
    def __init__(self, capacity, sample, seed, costs, **_):
        self.c, self.sample, self.stream, self.costs = capacity, sample, Stream(seed), costs
        self.members, self.size, self.worth, self.entered = [], {}, {}, {}

    def resident(self, obj):
        return obj in self.members

    def request(self, obj, size, now):
        gain = (1.0 if self.costs is None else self.costs[now]) / size
        if obj in self.members:
            self.worth[obj] += gain
            return
        while sum(self.size[one] for one in self.members) + size > self.c:
            tried = [self.stream.below(len(self.members)) for _ in range(self.sample)]
            priority = [self.worth[self.members[i]] / (now - self.entered[self.members[i]]) for i in tried]
            place = tried[priority.index(min(priority))]
            self.members[place] = self.members[-1]
            self.members.pop()
        self.members.append(obj)
        self.size[obj], self.worth[obj], self.entered[obj] = size, gain, now
