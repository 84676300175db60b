"""The count-min sketch as a dict of counters; only the choice of an object's four counters is taken from the real one."""

from __future__ import annotations

from evictlab.policies import Setting
from evictlab.policies.sketch import make_sketch, place


class NaiveSketch:
    def __init__(self, capacity, n_objects, sizes, seed, sample):
        stored = None if sizes is None else []
        self.real = make_sketch(Setting(n_objects, capacity, stored, seed, request_sizes=sizes), sample)
        residents = capacity if sizes is None else int(capacity / (sum(sizes) / len(sizes)))
        self.period = sample * max(1, min(residents, n_objects))
        self.counters, self.additions = {}, 0

    def places(self, obj):
        return [place(self.real, obj, row) for row in range(4)]

    def estimate(self, obj):
        return min(self.counters.get(counter, 0) for counter in self.places(obj))

    def add(self, obj):
        least = self.estimate(obj)
        if least == 15:
            return
        for counter in self.places(obj):
            if self.counters.get(counter, 0) == least:
                self.counters[counter] = least + 1
        self.additions += 1
        if self.additions >= self.period:
            self.counters = {counter: count // 2 for counter, count in self.counters.items()}
            self.additions //= 2
