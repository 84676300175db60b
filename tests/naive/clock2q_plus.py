"""Clock2Q+ as three lists, oldest first; the small one holds (object, number of its entry)."""

from __future__ import annotations

from naive._ghost import Ghost

CASES = ["clock2q_plus", "clock2q_plus:small=0.5", "clock2q_plus:small=0.5:window=0:ghost=0.3"]


class Naive:
    def __init__(self, capacity, small, ghost, window, **_):
        self.capacity = capacity
        self.share = int(capacity * small) or 1
        self.window = self.share * window
        self.small, self.main, self.ghost = [], [], Ghost(int(capacity * ghost))
        self.used, self.entries, self.filling = set(), 0, True

    def resident(self, obj):
        return obj in self.main or obj in [o for o, _ in self.small]

    def request(self, obj, size, now):
        if obj in self.main:
            self.used.add(obj)
            return
        for other, entry in self.small:
            if other == obj:
                if self.entries - entry >= self.window:
                    self.used.add(obj)
                return
        known = self.ghost.pop_if_known(obj)
        while len(self.small) + len(self.main) >= self.capacity:
            self.filling = False
            if len(self.main) > self.capacity - self.share or not self.small:
                self.evict_main()
            else:
                self.evict_small()
        if known or (self.filling and len(self.small) >= self.share):
            self.main.append(obj)
        else:
            self.entries += 1
            self.small.append((obj, self.entries))

    def evict_small(self):
        while self.small:
            first, _ = self.small.pop(0)
            if first not in self.used:
                self.ghost.add(first, 1)
                return
            self.used.remove(first)
            self.main.append(first)

    def evict_main(self):
        while self.main[0] in self.used:
            self.used.remove(self.main[0])
            self.main.append(self.main.pop(0))
        self.main.pop(0)
