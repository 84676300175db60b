"""LIRS with the stack, the queue and the ghosts as Python lists, newest last."""

from __future__ import annotations

CASES = ["lirs", "lirs:hir=0.3:least=1", "lirs:hir=0.5:least=1:ghosts=0.6", "lirs:ghosts=0"]


class Naive:
    def __init__(self, capacity, hir, least, ghosts, **_):
        self.c = capacity
        self.lir_limit = capacity - max(1, min(capacity - 1, max(int(hir * capacity), least)))
        self.most_ghosts = ghosts * capacity if ghosts == float("inf") else int(ghosts * capacity)
        self.stack, self.queue, self.ghosts, self.lir, self.size, self.last = [], [], [], [], {}, None

    def resident(self, obj):
        return obj in self.lir or obj in self.queue

    def bytes(self, objs):
        return sum(self.size[obj] for obj in objs)

    def prune(self):
        while self.stack and self.stack[0] not in self.lir:
            bottom = self.stack.pop(0)
            if bottom in self.ghosts:
                self.ghosts.remove(bottom)

    def demote(self):
        bottom = self.stack.pop(0)
        self.lir.remove(bottom)
        self.queue.append(bottom)
        self.prune()

    def promote(self, obj):
        for where in (self.stack, self.queue, self.ghosts):
            if obj in where:
                where.remove(obj)
        self.stack.append(obj)
        self.lir.append(obj)
        self.prune()
        while self.bytes(self.lir) > self.lir_limit:
            self.demote()

    def evict(self):
        if not self.queue:
            self.demote()
        victim = self.queue.pop(0)
        if victim in self.stack:
            self.ghosts.append(victim)
            while self.bytes(self.ghosts) > self.most_ghosts:
                self.stack.remove(self.ghosts.pop(0))

    def request(self, obj, size, now):
        if obj == self.last and self.resident(obj):
            return
        self.last = obj
        if obj in self.lir:
            self.stack.remove(obj)
            self.stack.append(obj)
            self.prune()
            return
        if obj not in self.queue:
            while self.bytes(self.lir) + self.bytes(self.queue) + size > self.c:
                self.evict()
            self.size[obj] = size
            if obj not in self.stack and self.bytes(self.lir) + size <= self.lir_limit:
                self.promote(obj)
                return
        if obj in self.stack:
            self.promote(obj)
            return
        if obj in self.queue:
            self.queue.remove(obj)
        self.stack.append(obj)
        self.queue.append(obj)
