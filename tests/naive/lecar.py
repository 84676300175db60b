"""LeCaR over Python lists: residents by last request, and one history per expert."""

from __future__ import annotations

import math

from naive._stream import Stream

CASES = ["lecar", "lecar:rate=3:history=0.5:lru=0.2"]


class Naive:
    def __init__(self, capacity, rate, history, lru, seed, **_):
        self.c, self.rate, self.most, self.lru, self.stream = capacity, rate, int(history * capacity), lru, Stream(seed)
        self.order, self.count, self.size, self.left_at = [], {}, {}, {}
        self.history = {"lru": [], "lfu": []}

    def resident(self, obj):
        return obj in self.order

    def bytes(self, objs):
        return sum(self.size[obj] for obj in objs)

    def learn(self, obj, now):
        weights = {"lru": self.lru, "lfu": 1 - self.lru}
        for expert, other in (("lru", "lfu"), ("lfu", "lru")):
            if obj in self.history[expert]:
                self.history[expert].remove(obj)
                reward = math.exp(math.log(0.005) / self.c * (now - self.left_at[obj]))
                weights[other] *= math.exp(self.rate * reward)
                self.lru = (weights["lru"] + 1e-10) / (weights["lru"] + weights["lfu"] + 2e-10)
                return

    def evict(self, now):
        expert = "lru" if self.stream.unit() < self.lru else "lfu"
        victim = self.order[0] if expert == "lru" else min(self.order, key=lambda obj: self.count[obj])
        self.order.remove(victim)
        self.left_at[victim] = now
        past = self.history[expert]
        if self.size[victim] <= self.most:
            past.append(victim)
            while self.bytes(past) > self.most:
                past.pop(0)

    def request(self, obj, size, now):
        if obj in self.order:
            self.order.remove(obj)
            self.count[obj] += 1
        else:
            self.learn(obj, now)
            while self.bytes(self.order) + size > self.c:
                self.evict(now)
            self.size[obj], self.count[obj] = size, 1
        self.order.append(obj)
