"""libCacheSim as a rival: the same trace through the package's native path (no Python per request)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...traces.errors import MissingExtraError

__all__ = ["PEERS", "PLUGIN_SCRIPT", "SLOW", "peer_cache", "peer_reader"]

PEERS = {
    "fifo": "FIFO",
    "lru": "LRU",
    "clock": "Clock",
    "sieve": "Sieve",
    "s3fifo": "S3FIFO",
    "slru": "SLRU",
    "twoq": "TwoQ",
    "lfu": "LFU",
    "arc": "ARC",
    "lirs": "LIRS",
    "wtinylfu": "WTinyLFU",
    "gdsf": "GDSF",
    "lhd": "LHD",
    "lecar": "LeCaR",
    "cacheus": "Cacheus",
    "hyperbolic": "Hyperbolic",
    "belady": "Belady",
}
"""Policies of both, by our name."""

SLOW = {"hyperbolic", "cacheus", "gdsf", "wtinylfu"}
"""Rivals that can need more than a second per million requests: measured once, on the trace's beginning."""


def _package() -> Any:
    try:
        import libcachesim
    except ImportError:
        raise MissingExtraError("a benchmark against libCacheSim", "test") from None
    return libcachesim


def peer_cache(policy: str, capacity: int, hashpower: int) -> Any:
    """Return libCacheSim's cache of that policy; `hashpower` sizes its hash table as 2**hashpower entries."""
    return getattr(_package(), PEERS[policy])(capacity, hashpower=hashpower)


def peer_reader(path: Path, *, ignore_sizes: bool) -> Any:
    """Return libCacheSim's memory-mapped reader of an oracleGeneral file."""
    package = _package()
    options = package.ReaderInitParam()
    options.ignore_obj_size = ignore_sizes
    return package.TraceReader(str(path), package.TraceType.ORACLE_GENERAL_TRACE, options)


PLUGIN_SCRIPT = """
from collections import OrderedDict
import libcachesim as lcs

def lru_plugin(capacity):
    return lcs.PluginCache(
        cache_size=capacity,
        cache_init_hook=lambda params: OrderedDict(),
        cache_hit_hook=lambda data, req: data.move_to_end(req.obj_id),
        cache_miss_hook=lambda data, req: data.__setitem__(req.obj_id, req.obj_size),
        cache_eviction_hook=lambda data, req: data.popitem(last=False)[0],
        cache_remove_hook=lambda data, obj: data.pop(obj, None),
        cache_free_hook=lambda data: data.clear(),
        cache_name="lru_plugin",
        hashpower=20,
    )
"""
