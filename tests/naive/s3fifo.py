"""S3-FIFO as three lists, oldest first."""

from __future__ import annotations

from naive._ghost import Ghost

CASES = ["s3fifo", "s3fifo:small=0.3", "s3fifo:small=0.3:spill=false:promote=1", "s3fifo:small=0.5:ghost=0.3:promote=3"]


class Naive:
    def __init__(self, capacity, small, ghost, promote, spill, **_):
        self.capacity, self.promote, self.filling = capacity, promote, spill
        self.small_share = int(capacity * small) or 1
        self.small, self.main, self.ghost = [], [], Ghost(int(capacity * ghost))
        self.size, self.freq = {}, {}

    def resident(self, obj):
        return obj in self.size

    def held(self, queue):
        return sum(self.size[obj] for obj in queue)

    def request(self, obj, size, now):
        if obj in self.size:
            self.freq[obj] = min(self.freq[obj] + 1, 3)
            return None
        known = self.ghost.pop_if_known(obj)
        if size > self.small_share:
            return False
        while sum(self.size.values()) + size > self.capacity:
            self.filling = False
            if self.held(self.main) > self.capacity - self.small_share or not self.small:
                self.evict_main()
            else:
                self.evict_small()
        full = self.held(self.small) >= self.small_share
        self.size[obj], self.freq[obj] = size, 0
        (self.main if known or (self.filling and full) else self.small).append(obj)
        return None

    def evict_small(self):
        while self.small:
            obj = self.small.pop(0)
            if self.freq[obj] < self.promote:
                self.ghost.add(obj, self.size.pop(obj))
                return
            self.main.append(obj)
            self.freq[obj] = 0

    def evict_main(self):
        while True:
            obj = self.main.pop(0)
            if not self.freq[obj]:
                del self.size[obj]
                return
            self.freq[obj] -= 1
            self.main.append(obj)
