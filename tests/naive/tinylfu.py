"""TinyLFU in front of a list whose first entry is the next victim (the twins of LRU and FIFO)."""

from __future__ import annotations

from naive._sketch import NaiveSketch

CASES = ["tinylfu+lru", "tinylfu+fifo", "tinylfu:sample=1+lru"]


class Naive:
    def __init__(self, capacity, inner, n_objects, sizes, seed, sample, **_):
        self.capacity, self.inner = capacity, inner
        self.sketch = NaiveSketch(capacity, n_objects, sizes, seed, sample)

    def resident(self, obj):
        return self.inner.resident(obj)

    def request(self, obj, size, now):
        self.sketch.add(obj)
        if not self.resident(obj):
            while sum(self.inner.size.values()) + size > self.capacity:
                victim = self.inner.order[0]
                if self.sketch.estimate(obj) <= self.sketch.estimate(victim):
                    return False
                self.inner.order.remove(victim)
                del self.inner.size[victim]
        return self.inner.request(obj, size, now)
