"""MQ as a list of lists, lowest queue first, newest last."""

from __future__ import annotations

from math import log2

from naive._ghost import Ghost

CASES = ["mq", "mq:lifetime=3", "mq:queues=3:lifetime=5:qout=0.7", "mq:queues=1"]


class Naive:
    def __init__(self, capacity, queues, lifetime, qout, **_):
        self.capacity, self.lifetime, self.now = capacity, lifetime, 0
        self.queues, self.qout = [[] for _ in range(queues)], Ghost(int(capacity * qout))
        self.count, self.expires, self.size = {}, {}, {}

    def resident(self, obj):
        return obj in self.size

    def put(self, obj, at):
        for members in self.queues:
            if obj in members:
                members.remove(obj)
        self.queues[at].append(obj)
        self.expires[obj] = self.now + self.lifetime

    def request(self, obj, size, now):
        if obj in self.size:
            self.count[obj] += 1
        else:
            self.count[obj] = self.count[obj] + 1 if self.qout.pop_if_known(obj) else 1
            while sum(self.size.values()) + size > self.capacity:
                victim = next(members for members in self.queues if members).pop(0)
                self.qout.add(victim, self.size.pop(victim))
            self.size[obj] = size
        self.put(obj, min(int(log2(self.count[obj])), len(self.queues) - 1))
        self.now += 1
        for at in range(1, len(self.queues)):
            if self.queues[at] and self.expires[self.queues[at][0]] < self.now:
                self.put(self.queues[at][0], at - 1)
