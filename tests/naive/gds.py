"""GreedyDual-Size: H = L + cost / size, where L is the H of the last victim."""

from __future__ import annotations

CASES = ["gds", "gds:weigh_costs=false"]


class Naive:
    def __init__(self, capacity, costs, weigh_costs, **_):
        self.capacity, self.inflation, self.size, self.h = capacity, 0.0, {}, {}
        self.costs = costs if weigh_costs else None

    def resident(self, obj):
        return obj in self.size

    def value(self, obj, now):
        return (1.0 if self.costs is None else self.costs[now]) / self.size[obj]

    def request(self, obj, size, now):
        if obj not in self.size:
            while sum(self.size.values()) + size > self.capacity:
                victim = min(self.size, key=lambda o: self.h[o])
                self.inflation = self.h[victim][0]
                del self.size[victim], self.h[victim]
            self.size[obj] = size
        before = self.h.get(obj, (0.0,))[0]
        self.h[obj] = (max(before, self.inflation + self.value(obj, now)), now)
