"""Flush-When-All-0s over a list of the residents, the one requested longest ago first."""

from __future__ import annotations

CASES = ["flush_when_all_zeros@truth", "flush_when_all_zeros@noisy:p=0.3", "flush_when_all_zeros@noisy:p=0.9"]


class Naive:
    def __init__(self, capacity, discard, **_):
        self.capacity, self.discard, self.cache, self.bit = capacity, discard, [], {}

    def resident(self, obj):
        return obj in self.cache

    def request(self, obj, size, now):
        if obj in self.cache:
            self.cache.remove(obj)
        elif len(self.cache) == self.capacity:
            may_go = [o for o in self.cache if self.bit[o] == 1]
            self.cache = [o for o in self.cache if o != may_go[0]] if may_go else []
        self.cache.append(obj)
        self.bit[obj] = self.discard[now]
