"""A caching proxy as NGINX is one: what asynchronous eviction, slow origins, locks and lifetimes do to a cache."""

from __future__ import annotations

from ...traces.lazy import lazy_names

_HOME = {
    "SYNC": "config",
    "CacheManager": "config",
    "Origin": "origin",
    "ProxyConfig": "config",
    "ProxyResult": "result",
    "ProxyTable": "table",
    "keys_zone_nodes": "config",
    "simulate_proxy": "runs",
    "sweep_proxy": "runs",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME)
