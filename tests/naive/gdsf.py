"""GDSF: the newcomer takes its place, and then the lowest leave until all fit; it may be one of them."""

from __future__ import annotations

CASES = ["gdsf", "gdsf:weigh_costs=false"]


class Naive:
    def __init__(self, capacity, costs, weigh_costs, **_):
        self.capacity, self.clock, self.size, self.count, self.priority = capacity, 0.0, {}, {}, {}
        self.costs = costs if weigh_costs else None

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj not in self.size:
            self.size[obj], self.count[obj], self.priority[obj] = size, 0, (0.0, now)
        self.count[obj] += 1
        cost = 1.0 if self.costs is None else self.costs[now]
        fresh = self.clock + self.count[obj] * cost / self.size[obj]
        self.priority[obj] = (max(fresh, self.priority[obj][0]), now)
        while sum(self.size.values()) > self.capacity:
            victim = min(self.size, key=lambda o: self.priority[o])
            self.clock = self.priority[victim][0]
            del self.size[victim]
        return obj in self.size
