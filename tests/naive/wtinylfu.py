"""W-TinyLFU over three Python lists, oldest first."""

from __future__ import annotations

from evictlab.policies import Setting
from evictlab.policies.random import random_below

from naive._sketch import NaiveSketch

CASES = [
    "wtinylfu",
    "wtinylfu:sample=1",
    "wtinylfu:adaptive=false:window=0.3",
    "wtinylfu:window=0.5:protected=0.5:sample=2",
    "wtinylfu:window=1.0",
]


class Naive:
    def __init__(self, capacity, n_objects, sizes, seed, window, protected, adaptive, sample, **_):
        self.capacity, self.size = capacity, {}
        self.window, self.probation, self.protected = [], [], []
        self.window_room = max(1, capacity - int(capacity * (1 - window)))
        self.protected_room = int((capacity - self.window_room) * protected)
        self.sketch = NaiveSketch(capacity, n_objects, sizes, seed, sample)
        self.rng = Setting(1, 1, seed=seed).random_state()
        self.adaptive, self.outcomes, self.last_ratio, self.step = adaptive, [], 0.0, -0.0625 * capacity

    def resident(self, obj):
        return obj in self.size

    def used(self, part):
        return sum(self.size[obj] for obj in part)

    def request(self, obj, size, now):
        self.sketch.add(obj)
        self.outcomes.append(obj in self.size)
        if self.adaptive and obj not in self.size and len(self.outcomes) >= self.sketch.period:
            self.climb()
        return self.touch(obj) if obj in self.size else self.enter(obj, size)

    def touch(self, obj):
        part = next(part for part in (self.window, self.probation, self.protected) if obj in part)
        part.remove(obj)
        if part is self.probation and self.size[obj] <= self.protected_room:
            part = self.protected
        part.append(obj)
        self.keep_shares()

    def keep_shares(self):
        """Whoever is over a share, oldest first, goes on probation."""
        for part, room in ((self.protected, self.protected_room), (self.window, self.window_room)):
            while self.used(part) > room:
                self.probation.append(part.pop(0))

    def enter(self, obj, size):
        too_large = size > self.window_room
        while sum(self.size.values()) + size > self.capacity:
            main = self.probation or self.protected
            if not main:
                del self.size[self.window.pop(0)]
            elif too_large:
                if not self.beats(obj, main[0]):
                    return False
                del self.size[main.pop(0)]
            elif self.used(self.window) + size > self.window_room:
                candidate = self.window.pop(0)
                if self.beats(candidate, main[0]):
                    del self.size[main.pop(0)]
                    self.probation.append(candidate)
                else:
                    del self.size[candidate]
            else:
                del self.size[main.pop(0)]
        self.size[obj] = size
        (self.probation if too_large else self.window).append(obj)
        self.keep_shares()
        return True

    def beats(self, candidate, victim):
        frequency = self.sketch.estimate(candidate)
        return frequency > self.sketch.estimate(victim) or (frequency >= 6 and random_below(self.rng, 128) == 0)

    def climb(self):
        ratio = sum(self.outcomes) / len(self.outcomes)
        step = self.step if ratio >= self.last_ratio else -self.step
        if abs(ratio - self.last_ratio) >= 0.05:
            self.step = 0.0625 * self.capacity if step >= 0 else -0.0625 * self.capacity
        else:
            self.step = 0.98 * step
        self.last_ratio, self.outcomes = ratio, []
        quota = min(int(step), self.protected_room) if step > 0 else -min(int(-step), self.window_room - 1)
        self.window_room += quota
        self.protected_room -= quota
        self.keep_shares()
        if step > 0:
            while self.probation and self.size[self.probation[0]] <= quota:
                quota -= self.size[self.probation[0]]
                self.window.append(self.probation.pop(0))
