"""Full 2Q as three lists, oldest first."""

from __future__ import annotations

from naive._ghost import Ghost

CASES = ["twoq", "twoq:kin=0.5:kout=1.0", "twoq:kin=0:kout=0.3"]


class Naive:
    def __init__(self, capacity, kin, kout, **_):
        self.capacity, self.kin = capacity, int(capacity * kin)
        self.a1in, self.a1out, self.am, self.size = [], Ghost(int(capacity * kout)), [], {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj in self.am:
            self.am.remove(obj)
            self.am.append(obj)
            return
        if obj in self.a1in:
            return
        known = self.a1out.pop_if_known(obj)
        while sum(self.size.values()) + size > self.capacity:
            if sum(self.size[o] for o in self.a1in) > self.kin or not self.am:
                first = self.a1in.pop(0)
                self.a1out.add(first, self.size.pop(first))
            else:
                del self.size[self.am.pop(0)]
        (self.am if known else self.a1in).append(obj)
        self.size[obj] = size
