"""What a server counts, and the line of JSON that says it; the server in C prints the same line."""

from __future__ import annotations

import json
import resource
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

__all__ = ["EDGES_US", "Counters"]

EDGES_US = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Upper edges of the bins of latencies; the last bin has none."""


@dataclass
class Counters:
    """Since the server began; latencies are from a packet's receipt to its reply, without the way there and back."""

    requests: int = 0
    ok: int = 0
    malformed: int = 0
    mismatched: int = 0
    model_errors: int = 0
    shadow: int = 0
    victims: int = 0
    not_lru: int = 0
    wakes: int = 0
    clients: int = 0
    connections: int = 0
    reloads: int = 0
    reload_refusals: int = 0
    _sum_us: float = 0.0
    _max_us: float = 0.0
    _bins: list[int] = field(default_factory=lambda: [0] * (len(EDGES_US) + 1))

    def note_latency(self, us: float) -> None:
        """Count a reply that took so many microseconds."""
        self._bins[bisect_left(EDGES_US, us)] += 1
        self._sum_us += us
        self._max_us = max(self._max_us, us)

    def line(self) -> str:
        """All of it as a line of JSON."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        counts: dict[str, Any] = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        latency = {"sum": self._sum_us, "max": self._max_us, "edges": list(EDGES_US), "counts": self._bins}
        cpu_s = used.ru_utime + used.ru_stime
        return json.dumps({"server": "python", **counts, "cpu_s": cpu_s, "latency_us": latency})
