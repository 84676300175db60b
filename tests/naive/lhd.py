"""LHD over Python lists and dicts; who leaves, the last takes the place of."""

from __future__ import annotations

import math

import numpy as np

from naive._stream import Stream

CASES = ["lhd", "lhd:sample=2:period=4:ages=64", "lhd:period=3:ages=400", "lhd:sample=10:period=1:ages=8"]


class Naive:
    def __init__(self, capacity, sample, period, ages, seed, **_):
        self.c, self.sample, self.period, self.ages, self.stream = capacity, sample, period, ages, Stream(seed)
        self.shift, self.periods, self.left, self.budget = 10, 0, period, int(0.01 * capacity)
        self.density = {}  # where absent: as at the start
        self.hits = [[0.0] * ages for _ in range(16)]
        self.evictions = [[0.0] * ages for _ in range(16)]
        self.members, self.size, self.seen, self.kind, self.last, self.explorers = [], {}, {}, {}, {}, set()
        self.tracked, self.victims, self.objects, self.mass = [None] * 8, 0.0, 0.0, 0.0
        self.n_tracked = 0

    def resident(self, obj):
        return obj in self.members

    def age(self, obj, now):
        return min((now - self.seen[obj]) >> self.shift, self.ages - 1)

    def score(self, obj, now):
        age, kind = self.age(obj, now), self.kind[obj]
        if age == self.ages - 1:
            return -1.0
        density = self.density.get((kind, age), (kind + 17) / (age + 1))
        return float(np.float32(density)) / self.size[obj] + (obj in self.explorers)

    def stop_exploring(self, obj):
        if obj in self.explorers:
            self.explorers.remove(obj)
            self.budget += self.size[obj]

    def touch(self, obj, now):
        self.seen[obj] = now
        if self.budget > 0 and self.periods < 50 and self.stream.below(32) == 0:
            self.explorers.add(obj)
            self.budget -= self.size[obj]

    def evict(self, now):
        n = self.sample if self.periods > 50 else min(8, self.sample)
        tried = [self.members[self.stream.below(len(self.members))] for _ in range(n)]
        tried += [obj for obj in self.tracked if obj in self.members]
        scores = [self.score(obj, now) for obj in tried]
        victim = tried[scores.index(min(scores))]
        self.victims = 0.9 * self.victims + (1 - 0.9) * min(scores)
        self.evictions[self.kind[victim]][self.age(victim, now)] += 1
        self.stop_exploring(victim)
        self.members[self.members.index(victim)] = self.members[-1]
        self.members.pop()

    def request(self, obj, size, now):
        if obj in self.members:
            age = self.age(obj, now)
            self.hits[self.kind[obj]][age] += 1
            self.stop_exploring(obj)
            both = age + self.last[obj]
            self.kind[obj] = next((k for k in range(15) if both << k >= self.ages), 15)
            self.last[obj] = age
            self.touch(obj, now)
        else:
            while sum(self.size[one] for one in self.members) + size > self.c:
                self.evict(now)
            self.members.append(obj)
            self.size[obj], self.kind[obj], self.last[obj] = size, 0, 0
            self.touch(obj, now)
            if self.score(obj, now) < self.victims:
                self.tracked[self.n_tracked % 8] = obj
                self.n_tracked += 1
        self.left -= 1
        if self.left == 0:
            self.new_period()
            self.left = self.period
            self.periods += 1

    def new_period(self):
        for table in (self.hits, self.evictions):
            for row in table:
                row[:] = [0.9 * count for count in row]
        self.objects = 0.9 * self.objects + len(self.members)
        self.mass = 0.9 * self.mass + 1
        if self.periods in (5, 25):
            self.coarsen(max(1, math.ceil(math.log2(self.objects / self.mass / (0.01 * self.ages)))))
            self.objects *= 8
            self.mass *= 8
        for kind in range(16):
            to_come = self.hits[kind][-1]
            events = lifetime = self.hits[kind][-1] + self.evictions[kind][-1]
            for age in reversed(range(self.ages - 1)):
                to_come += self.hits[kind][age]
                events += self.hits[kind][age] + self.evictions[kind][age]
                lifetime += events
                self.density[kind, age] = to_come / lifetime if events > 1e-5 else 0.0

    def coarsen(self, shift):
        change, self.shift = shift - self.shift, shift
        for table in (self.hits, self.evictions):
            for kind, row in enumerate(table):
                new = [0.0] * (self.ages - 1) + [row[-1]]
                if change >= 0:
                    for age in range(self.ages - 1):
                        new[age >> change] += row[age]
                else:
                    for age in range(self.ages - 1):
                        new[age] = row[age >> -change] / 2**-change
                    for age in range(self.ages >> -change, self.ages - 1):
                        new[-1] += row[age]
                table[kind] = new
