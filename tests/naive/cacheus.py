"""CACHEUS over Python lists, newest last: R, SR, and the two histories."""

from __future__ import annotations

import math

from naive._stream import Stream


class Naive:
    def __init__(self, capacity, seed, **_):
        self.c, self.stream = capacity, Stream(seed)
        self.r_limit = capacity - max(1, int(0.01 * capacity + 0.5))
        self.r, self.sr, self.count, self.used_at, self.demoted, self.new = [], [], {}, {}, set(), set()
        self.past = {"lru": [], "lfu": []}
        self.filling, self.lru = True, 0.5
        self.rate, self.rate_before, self.ratio_before = self.any_rate(), 0.0, 0.0
        self.seen = self.hits = self.unlearnt = 0

    def any_rate(self):
        return 0.001 + (1.0 - 0.001) * self.stream.unit()

    def resident(self, obj):
        return obj in self.r or obj in self.sr

    def n_new(self):
        return sum(obj in self.new for obj in self.past["lru"])

    def adapt_rate(self):
        self.seen += 1
        if self.seen < self.c:
            return
        ratio = self.hits / self.c
        gain, change = ratio - self.ratio_before, self.rate - self.rate_before
        self.ratio_before, self.rate_before = ratio, self.rate
        self.seen = self.hits = 0
        if change != 0:
            step = abs(self.rate * change) * (1 if gain / change > 0 else -1)
            self.rate = min(max(self.rate + step, 0.001), 1.0)
            self.unlearnt = 0
            return
        self.unlearnt += ratio == 0 or gain <= 0
        if self.unlearnt >= 10:
            self.unlearnt, self.rate = 0, self.any_rate()

    def into_r(self, obj):
        self.r.append(obj)
        while len(self.r) > self.r_limit:
            self.demoted.add(self.r[0])
            self.sr.append(self.r.pop(0))

    def evict(self):
        self.filling = False
        lru = self.sr[0]
        lfu = min(self.r + self.sr, key=lambda obj: (self.count[obj], -self.used_at[obj]))
        expert = None if lru == lfu else "lru" if self.stream.unit() < self.lru else "lfu"
        victim = lfu if expert == "lfu" else lru
        (self.r if victim in self.r else self.sr).remove(victim)
        self.demoted.discard(victim)
        if expert is not None and self.c // 2 > 0:
            self.past[expert] = [*self.past[expert], victim][-(self.c // 2) :]

    def request(self, obj, size, now):
        self.adapt_rate()
        if self.resident(obj):
            self.hits += 1
            self.count[obj] += 1
            self.used_at[obj] = now
            if obj in self.r:
                self.r.remove(obj)
                self.r.append(obj)
                return
            if obj in self.demoted:
                grow = max(1, int(self.n_new() / max(len(self.demoted), 1) + 0.5))
                self.r_limit = min(self.r_limit + grow, self.c - 1)
            self.demoted.discard(obj)
            self.new.discard(obj)
            self.sr.remove(obj)
            self.into_r(obj)
            return
        known = [expert for expert in self.past if obj in self.past[expert]]
        if known:
            weights = {"lru": self.lru, "lfu": 1.0 - self.lru}
            weights[known[0]] *= math.exp(-self.rate)
            self.lru = min(max(weights["lru"] / (weights["lru"] + weights["lfu"]), 0.01), 0.99)
            self.past[known[0]].remove(obj)
            if known[0] == "lru" and obj in self.new:
                shrink = max(1, int(len(self.demoted) / max(self.n_new(), 1) + 0.5))
                self.r_limit = max(self.r_limit - shrink, min(1, self.c - 1))
        self.new.discard(obj)
        while len(self.r) + len(self.sr) >= self.c:
            self.evict()
        self.count[obj] = self.count[obj] + 1 if known else 1
        self.used_at[obj] = now
        if known or (self.filling and not self.sr and len(self.r) < self.r_limit):
            self.into_r(obj)
            return
        if not (self.filling and len(self.sr) < self.c - self.r_limit):
            self.new.add(obj)
        self.sr.append(obj)
