"""CLOCK-Pro over Python lists, oldest first: the clock, the resident cold pages, the pages in test."""

from __future__ import annotations

CASES = ["clockpro", "clockpro:cold=0.4:ghosts=0.5", "clockpro:cold=0.2:adaptive=false"]


class Naive:
    def __init__(self, capacity, cold, ghosts, adaptive, **_):
        self.c, self.adaptive, self.filling = capacity, adaptive, True
        self.least = self.room = max(1, int(cold * capacity))
        self.most_ghosts = int(ghosts * capacity)
        self.clock, self.cold, self.test, self.hot, self.bit, self.size = [], [], [], set(), set(), {}

    def resident(self, obj):
        return obj in self.hot or obj in self.cold

    def bytes(self, objs):
        return sum(self.size[obj] for obj in objs)

    def ghosts(self):
        return [page for page in self.test if page not in self.cold]

    def fail_test(self, page):
        self.clock.remove(page)
        self.test.remove(page)
        if self.adaptive and page not in self.bit:
            self.room = max(self.least, self.room - self.size[page])

    def pass_test(self, page):
        self.test.remove(page)
        self.clock.remove(page)
        self.bit.discard(page)
        if page in self.cold:
            self.cold.remove(page)
        self.clock.append(page)
        self.hot.add(page)
        if self.adaptive:
            self.room = min(self.c, self.room + self.size[page])
        while self.bytes(self.hot) > self.c - self.room:
            self.hand_hot()

    def hand_hot(self):
        demoted = False
        while self.hot and not (demoted and self.clock[0] in self.hot):
            page = self.clock[0]
            if page not in self.hot:
                self.fail_test(page)
            elif page in self.bit:
                self.bit.remove(page)
                self.clock.append(self.clock.pop(0))
            else:
                self.hot.remove(self.clock.pop(0))
                self.cold.append(page)
                demoted = True

    def hand_cold(self):
        while True:
            if not self.cold:
                self.hand_hot()
            page = self.cold[0]
            if page not in self.bit:
                self.cold.pop(0)
                while self.bytes(self.ghosts()) > self.most_ghosts:
                    self.fail_test(self.test[0])
                return
            if page in self.test:
                self.pass_test(page)
            else:
                self.bit.remove(page)
                self.cold.append(self.cold.pop(0))
                self.clock.append(page)
                self.test.append(page)

    def request(self, obj, size, now):
        if self.resident(obj):
            self.bit.add(obj)
            return
        while self.bytes(self.hot) + self.bytes(self.cold) + size > self.c:
            self.filling = False
            self.hand_cold()
        if obj in self.test:
            self.pass_test(obj)
        elif self.filling and self.bytes(self.hot) + size <= self.c - self.room:
            self.size[obj] = size
            self.hot.add(obj)
            self.clock.append(obj)
        else:
            self.size[obj] = size
            for where in (self.cold, self.clock, self.test):
                where.append(obj)
