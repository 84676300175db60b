"""QD-LP-FIFO as three lists, oldest first."""

from __future__ import annotations

from naive._ghost import Ghost

CASES = ["qdlp", "qdlp:small=0.3", "qdlp:small=0.5:ghost=0.4"]


class Naive:
    def __init__(self, capacity, small, ghost, **_):
        self.capacity = capacity
        self.main_share = capacity - (int(capacity * small) or 1)
        self.probation, self.main, self.ghost = [], [], Ghost(int(capacity * ghost))
        self.size, self.freq = {}, {}

    def resident(self, obj):
        return obj in self.size

    def request(self, obj, size, now):
        if obj in self.size:
            self.freq[obj] = min(self.freq[obj] + 1, 3)
            return
        known = self.ghost.pop_if_known(obj)
        while sum(self.size.values()) + size > self.capacity:
            wanted = sum(self.size[o] for o in self.main) + (size if known else 0)
            if self.main and (wanted > self.main_share or not self.probation):
                self.sweep_main()
            elif self.probation:
                self.demote()
        self.size[obj], self.freq[obj] = size, 0
        (self.main if known else self.probation).append(obj)

    def demote(self):
        first = self.probation.pop(0)
        if self.freq[first]:
            self.freq[first] = 0
            self.main.append(first)
        else:
            self.ghost.add(first, self.size.pop(first))

    def sweep_main(self):
        while self.freq[self.main[0]]:
            self.freq[self.main[0]] -= 1
            self.main.append(self.main.pop(0))
        del self.size[self.main.pop(0)]
