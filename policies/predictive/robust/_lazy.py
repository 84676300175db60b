"""What policies share whose cache follows a model lazily: three kernels over `state.cache`.

The cache is an `evictlab.policies.shadow.Recent`; its subset 0 holds those residents whom the model does not hold. A
policy with such a cache lets the model serve each request first, in its own `hit` and `admit`.
"""

from __future__ import annotations

from ...shadow import drop, has, oldest, touch

__all__ = ["evict_lazily", "find_in_cache", "insert_in_cache"]


def find_in_cache(state, obj):
    """Is it resident, whether the model holds it or not?"""
    return has(state.cache, obj)


def insert_in_cache(state, obj, now, size):
    """Let the newcomer in, whom the model holds by now."""
    touch(state.cache, obj)


def evict_lazily(state, obj, now, size):
    """Evict, of those whom the model does not hold, the least recently used."""
    victim = oldest(state.cache, 0)
    drop(state.cache, victim)
    return victim
