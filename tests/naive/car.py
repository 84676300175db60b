"""CAR as four Python lists, the hands at the front, by the lines of the paper's figure 2."""

from __future__ import annotations


class Naive:
    def __init__(self, capacity, **_):
        self.c, self.p, self.size, self.bit = capacity, 0.0, {}, set()
        self.t1, self.t2, self.b1, self.b2 = [], [], [], []

    def resident(self, obj):
        return obj in self.t1 or obj in self.t2

    def bytes(self, *lists):
        return sum(self.size[obj] for one in lists for obj in one)

    def replace(self):
        while True:
            from_t1 = (self.t1 and self.bytes(self.t1) >= max(1, self.p)) or not self.t2
            clock, ghosts = (self.t1, self.b1) if from_t1 else (self.t2, self.b2)
            page = clock.pop(0)
            if page not in self.bit:
                ghosts.append(page)
                return
            self.bit.remove(page)
            self.t2.append(page)

    def request(self, obj, size, now):
        if self.resident(obj):
            self.bit.add(obj)
            return
        known = obj in self.b1 or obj in self.b2
        while self.bytes(self.t1, self.t2) + size > self.c:
            self.replace()
            while not known and self.b1 and self.bytes(self.t1, self.b1) + size > self.c:
                self.b1.pop(0)
            while not known and self.b2 and self.bytes(self.t1, self.t2, self.b1, self.b2) + size > 2 * self.c:
                self.b2.pop(0)
        if not known:
            self.t1.append(obj)
        elif obj in self.b1:
            self.p = min(self.c, self.p + size * max(1.0, self.bytes(self.b2) / self.bytes(self.b1)))
            self.b1.remove(obj)
            self.t2.append(obj)
        else:
            self.p = max(0.0, self.p - size * max(1.0, self.bytes(self.b1) / self.bytes(self.b2)))
            self.b2.remove(obj)
            self.t2.append(obj)
        self.size[obj] = size
