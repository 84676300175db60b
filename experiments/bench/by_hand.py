"""LRU, SIEVE and S3-FIFO as one hand-written loop each, unit sizes: what the composed loop is measured against.

The data structures are those of the policies; everything else is as one would write it for one policy only.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["LOOPS"]

_OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}


@numba.njit(**_OPTIONS)
def lru(ids, capacity, n_objects):  # type: ignore[no-untyped-def]
    """Return the hits of LRU: a doubly linked list over slots."""
    slot_of = np.full(n_objects, -1, np.int32)
    obj_of = np.empty(capacity, np.int32)
    links = np.empty((capacity + 1, 2), np.int32)  # older, newer; the last row closes the ring
    end = capacity
    links[end, 0] = end
    links[end, 1] = end
    used = 0
    hits = 0
    for i in range(len(ids)):
        obj = np.uint32(ids[i])
        slot = slot_of[obj]
        if slot >= 0:
            hits += 1
            older, newer = links[slot, 0], links[slot, 1]
            links[newer, 0] = older
            links[older, 1] = newer
        else:
            if used == capacity:
                slot = links[end, 1]
                newer = links[slot, 1]
                links[end, 1] = newer
                links[newer, 0] = end
                slot_of[obj_of[slot]] = -1
            else:
                slot = used
                used += 1
            slot_of[obj] = slot
            obj_of[slot] = obj
        top = links[end, 0]
        links[slot, 0] = top
        links[slot, 1] = end
        links[top, 1] = slot
        links[end, 0] = slot
    return hits


@numba.njit(**_OPTIONS)
def sieve(ids, capacity, n_objects):  # type: ignore[no-untyped-def]
    """Return the hits of SIEVE: one byte per object, a queue with holes and a hand."""
    mark = np.zeros(n_objects, np.uint8)
    queue = np.empty(2 * capacity + 64, np.int32)
    head = 0
    hand = 0
    used = 0
    hits = 0
    for i in range(len(ids)):
        obj = np.uint32(ids[i])
        if mark[obj] != 0:
            hits += 1
            mark[obj] = 2
            continue
        if used == capacity:
            while True:
                if hand == head:
                    hand = 0
                victim = queue[hand]
                if victim >= 0:
                    if mark[victim] == 1:
                        break
                    mark[victim] = 1
                hand += 1
            mark[victim] = 0
            queue[hand] = -1
            while head > 0 and queue[head - 1] < 0:
                head -= 1
            hand = hand + 1 if hand + 1 < head else 0
        else:
            used += 1
        if head == len(queue):
            to = 0
            start = hand
            for at in range(len(queue)):
                if at == start:
                    hand = to
                if queue[at] >= 0:
                    queue[to] = queue[at]
                    to += 1
            head = to
        queue[head] = obj
        head += 1
        mark[obj] = 1
    return hits


@numba.njit(**_OPTIONS)
def s3fifo(ids, capacity, n_objects):  # type: ignore[no-untyped-def]
    """Return the hits of S3-FIFO with its default parameters: two circular queues and a ghost queue."""
    small_share = int(capacity * 0.1)
    main_share = capacity - small_share
    ghost_share = int(capacity * 0.9)
    where = np.zeros(n_objects, np.uint8)  # 0 out, 1 small, 2 main
    freq = np.zeros(n_objects, np.uint8)
    small = np.empty(capacity, np.int32)
    main = np.empty(capacity, np.int32)
    ghost = np.empty(2 * ghost_share + 64, np.int32)
    ghost_at = np.full(n_objects, -1, np.int32)
    small_at, n_small, main_at, n_main, ghost_tail, ghost_head, n_ghost = 0, 0, 0, 0, 0, 0, 0
    evicted = False
    hits = 0
    for i in range(len(ids)):
        obj = np.uint32(ids[i])
        if where[obj] != 0:
            hits += 1
            if freq[obj] < 3:
                freq[obj] += 1
            continue
        remembered = ghost_at[obj] >= 0
        if remembered:
            ghost_at[obj] = -1
            n_ghost -= 1
        while n_small + n_main == capacity:
            evicted = True
            if n_main > main_share or n_small == 0:
                victim = main[main_at]
                main_at = main_at + 1 if main_at + 1 < capacity else 0
                if freq[victim] > 0:
                    freq[victim] -= 1
                    at = main_at + n_main - 1
                    main[at if at < capacity else at - capacity] = victim
                else:
                    where[victim] = 0
                    n_main -= 1
            else:
                victim = small[small_at]
                small_at = small_at + 1 if small_at + 1 < capacity else 0
                n_small -= 1
                if freq[victim] >= 2:
                    freq[victim] = 0
                    where[victim] = 2
                    at = main_at + n_main
                    main[at if at < capacity else at - capacity] = victim
                    n_main += 1
                else:
                    where[victim] = 0
                    if ghost_share > 0:
                        if n_ghost == ghost_share:
                            while ghost_at[ghost[ghost_tail]] != ghost_tail:
                                ghost_tail += 1
                            ghost_at[ghost[ghost_tail]] = -1
                            ghost_tail += 1
                            n_ghost -= 1
                        if ghost_head == len(ghost):
                            to = 0
                            for at in range(ghost_tail, ghost_head):
                                if ghost_at[ghost[at]] == at:
                                    ghost[to] = ghost[at]
                                    ghost_at[ghost[to]] = to
                                    to += 1
                            ghost_tail = 0
                            ghost_head = to
                        ghost[ghost_head] = victim
                        ghost_at[victim] = ghost_head
                        ghost_head += 1
                        n_ghost += 1
        freq[obj] = 0
        if remembered or (not evicted and n_small >= small_share):
            where[obj] = 2
            at = main_at + n_main
            main[at if at < capacity else at - capacity] = obj
            n_main += 1
        elif small_share > 0:
            where[obj] = 1
            at = small_at + n_small
            small[at if at < capacity else at - capacity] = obj
            n_small += 1
    return hits


LOOPS = {"lru": lru, "sieve": sieve, "s3fifo": s3fifo}
