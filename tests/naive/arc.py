"""ARC as four Python lists, newest last, by the cases of the paper's figure 4."""

from __future__ import annotations


class Naive:
    def __init__(self, capacity, **_):
        self.c, self.p, self.size = capacity, 0.0, {}
        self.t1, self.t2, self.b1, self.b2 = [], [], [], []

    def resident(self, obj):
        return obj in self.t1 or obj in self.t2

    def bytes(self, *lists):
        return sum(self.size[obj] for one in lists for obj in one)

    def replace(self, in_b2):
        t1 = self.bytes(self.t1)
        if not self.t2 or (self.t1 and (t1 > self.p or (in_b2 and t1 == self.p))):
            self.b1.append(self.t1.pop(0))
        else:
            self.b2.append(self.t2.pop(0))

    def full(self, size):
        return self.bytes(self.t1, self.t2) + size > self.c

    def request(self, obj, size, now):
        if self.resident(obj):  # case I
            (self.t1 if obj in self.t1 else self.t2).remove(obj)
        elif obj in self.b1:  # case II
            self.p = min(self.c, self.p + size * max(1.0, self.bytes(self.b2) / self.bytes(self.b1)))
            while self.full(size):
                self.replace(False)
            self.b1.remove(obj)
        elif obj in self.b2:  # case III
            self.p = max(0.0, self.p - size * max(1.0, self.bytes(self.b1) / self.bytes(self.b2)))
            while self.full(size):
                self.replace(True)
            self.b2.remove(obj)
        else:  # case IV
            while self.full(size):
                while self.b1 and self.bytes(self.t1, self.b1) + size > self.c:
                    self.b1.pop(0)
                if self.bytes(self.t1) + size > self.c:  # |T1| = c: its oldest goes and leaves no ghost
                    self.t1.pop(0)
                else:
                    self.replace(False)
                while self.b2 and self.bytes(self.t1, self.t2, self.b1, self.b2) + size > 2 * self.c:
                    self.b2.pop(0)
            self.t1.append(obj)
            self.size[obj] = size
            return
        self.t2.append(obj)
        self.size.setdefault(obj, size)
