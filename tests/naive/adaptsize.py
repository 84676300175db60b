"""AdaptSize with the model written out: a list of (how many, size, rate), and T by bisection until nothing moves."""

from __future__ import annotations

import math

from evictlab.policies import Setting
from evictlab.policies.random import random_unit

CASES = ["adaptsize:interval=10+lru", "adaptsize:interval=25+fifo", "adaptsize+lru"]


class Naive:
    def __init__(self, capacity, inner, seed, interval, **_):
        self.capacity, self.inner, self.interval, self.c = capacity, inner, interval, float(capacity)
        self.rng = Setting(1, 1, seed=seed).random_state()
        self.rate, self.size, self.requests = {}, {}, 0

    def resident(self, obj):
        return self.inner.resident(obj)

    def request(self, obj, size, now):
        self.rate[obj] = self.rate.get(obj, 0.0) + 0.7
        self.size[obj] = size
        self.requests += 1
        if self.requests % self.interval == 0:
            self.tune()
        if not self.resident(obj) and random_unit(self.rng) >= math.exp(-size / self.c):
            return False
        return self.inner.request(obj, size, now)

    def tune(self):
        self.rate = {obj: rate for obj, rate in self.rate.items() if rate >= 0.1}
        alike = {}
        for obj, rate in self.rate.items():
            cell = (int(2 * math.log2(self.size[obj])), int(2 * math.log2(rate / 0.1)))
            alike.setdefault(cell, []).append((self.size[obj], rate))
        cells = [
            (len(members), sum(s for s, _ in members) / len(members), sum(r for _, r in members) / len(members))
            for members in alike.values()
        ]
        if sum(self.size[obj] for obj in self.rate) > self.capacity:
            best = 0.0
            for half_octaves in range(200):
                c = self.capacity * 2 ** (-half_octaves / 2)
                if c < 1 - 1e-9:
                    break
                hits = self.hits(cells, c)
                if hits > best * 1.0001:
                    best, self.c = hits, c
        self.rate = {obj: rate * 0.3 for obj, rate in self.rate.items()}

    def hits(self, cells, c):
        def inside(size, rate, stay):
            grown = math.exp(-size / c) * math.expm1(rate * stay)
            return grown / (1 + grown)

        short, long = 0.0, 3.0
        for _ in range(200):
            middle = (short + long) / 2
            full = sum(n * size * inside(size, rate, middle) for n, size, rate in cells) >= self.capacity
            short, long = (short, middle) if full else (middle, long)
        return sum(n * rate * inside(size, rate, long) for n, size, rate in cells)
