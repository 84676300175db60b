"""LRU's stack as a plain list: the naive twin of everything in `evictlab.sim.curves` that counts stack distances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def needed(ids: Any, sizes: Any = None) -> Iterator[int | None]:
    """For each request, the least capacity at which LRU serves it: objects, or bytes with sizes; None for never."""
    stack: list[tuple[int, int]] = []  # newest first
    for i, obj in enumerate(int(o) for o in ids):
        depth = next((k for k, (other, _) in enumerate(stack) if other == obj), None)
        if depth is None:
            yield None
        else:
            yield sum(weight for _, weight in stack[: depth + 1])
            del stack[depth]
        stack.insert(0, (obj, 1 if sizes is None else int(sizes[i])))


def misses_at(capacity: int, ids: Any, sizes: Any = None, start: int = 0) -> tuple[float, float]:
    """Miss ratio and byte miss ratio of the requests from `start` on."""
    weights = [1] * len(ids) if sizes is None else [int(size) for size in sizes]
    missed = [
        weight
        for i, (weight, least) in enumerate(zip(weights, needed(ids, sizes), strict=True))
        if i >= start and (least is None or least > capacity)
    ]
    return len(missed) / (len(weights) - start), sum(missed) / sum(weights[start:])
