"""What a proxy did: an outcome and a latency for each request, and what the disk and the origin saw."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import outcome as of

if TYPE_CHECKING:
    import pandas as pd

    from .config import ProxyConfig

__all__ = ["PERCENTILES", "ProxyResult"]

PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}
"""Of latencies; values are such that as many requests were at most as slow (no interpolation)."""


@dataclass(frozen=True, eq=False, repr=False)
class ProxyResult:
    """One run of a proxy.

    Attributes
    ----------
    trace, policy : str
    config : ProxyConfig
    seed : int
    capacity : int
        Bytes, or objects unless `in_bytes`.
    in_bytes : bool
        Whether disk sizes are bytes, in whole blocks; else objects.
    seconds : float64[n_requests]
        Arrivals, after the first one.
    sizes : int64[n_requests], bytes, or None
        Bodies.
    outcomes : uint8[n_requests]
        Status and flags, see `evictlab.sim.proxy.outcome`.
    latency : float32[n_requests], seconds
        From arrival to the last byte at the client.
    origin_requests, origin_bytes : int
        Fetches, background ones included, and the bytes of their bodies; a revalidation brings none.
    origin_peak : int
        The most fetches at the same time.
    evictions : int
        Objects that left the disk.
    forced, inactive : int
        Keys that the manager forced out, and those that it removed because nobody asked for them.
    forced_on_path : int
        Keys that left on the way of a request because the keys zone was full.
    refused : int
        Requests that NGINX answers with an error, 500, and without the origin: the zone was full of keys in use.
    decisions_ok, decisions_late, decisions_without : int
        Forced out as the policy said, by NGINX's queue because that came too late, and because it had no answer.
    wakes : int
        Times that the manager woke up.
    disk_peak, disk_final, disk_mean : int, int, float
        Bytes or objects on disk; the mean is over time, from the first object on.
    objects_peak, objects_final : int
    duration_s : float
        From the first arrival until every request was answered.
    series_s : float64[n_samples], seconds after the first arrival
    series_size, series_objects : int64[n_samples]
        What was on disk then: before and after each waking of the manager, and every `ProxyConfig.sample_s`.
    """

    trace: str
    policy: str
    config: ProxyConfig
    seed: int
    capacity: int
    in_bytes: bool
    seconds: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64] | None
    outcomes: npt.NDArray[np.uint8]
    latency: npt.NDArray[np.float32]
    origin_requests: int
    origin_bytes: int
    origin_peak: int
    evictions: int
    forced: int
    inactive: int
    forced_on_path: int
    refused: int
    decisions_ok: int
    decisions_late: int
    decisions_without: int
    wakes: int
    disk_peak: int
    disk_final: int
    disk_mean: float
    objects_peak: int
    objects_final: int
    duration_s: float
    series_s: npt.NDArray[np.float64]
    series_size: npt.NDArray[np.int64]
    series_objects: npt.NDArray[np.int64]

    @property
    def served(self) -> npt.NDArray[np.bool_]:
        """Whether each request was answered with what the cache held: HIT, STALE or UPDATING."""
        found: npt.NDArray[np.bool_] = of.was_served(self.outcomes)
        return found

    @property
    def hit_ratio(self) -> float:
        """Share of the requests that were served from the cache."""
        return float(self.served.mean())

    @property
    def byte_hit_ratio(self) -> float | None:
        """Share of the bytes that were; None without sizes."""
        if self.sizes is None:
            return None
        return float(self.sizes[self.served].sum() / self.sizes.sum())

    @property
    def overshoot(self) -> float:
        """By which share the largest size on disk was above the capacity; negative where it stayed below."""
        return self.disk_peak / self.capacity - 1

    def counts(self) -> dict[str, int]:
        """Return the requests by NGINX's status, and how many of them were coalesced and uncached."""
        each = np.bincount(of.status(self.outcomes), minlength=len(of.NAMES)).tolist()
        found = {name.lower(): count for name, count in zip(of.NAMES, each, strict=True)}
        return found | {
            "coalesced": int(np.count_nonzero(self.outcomes & of.COALESCED)),
            "uncached": int(np.count_nonzero(self.outcomes & of.UNCACHED)),
        }

    def latencies_ms(self, which: str = "all") -> dict[str, float | None]:
        """Return `PERCENTILES` of the latency of ``"all"``, ``"hits"`` or ``"misses"``, None where there are none."""
        chosen = self.latency
        if which != "all":
            chosen = chosen[self.served if which == "hits" else ~self.served]
        if not len(chosen):
            return dict.fromkeys(PERCENTILES)
        values = np.percentile(chosen, list(PERCENTILES.values()), method="inverted_cdf")
        return {name: 1000 * float(value) for name, value in zip(PERCENTILES, values, strict=True)}

    def to_row(self) -> dict[str, Any]:
        """Return everything that is one number, as a row of a table; units are in the names, ratios are 0-1."""
        in_bytes = self.in_bytes
        row: dict[str, Any] = {
            "trace": self.trace,
            "policy": self.policy,
            "capacity": self.config.size,
            "capacity_bytes": self.capacity if in_bytes else None,
            "capacity_objects": None if in_bytes else self.capacity,
            "seed": self.seed,
            "requests": len(self.outcomes),
            "hit_ratio": self.hit_ratio,
            "byte_hit_ratio": self.byte_hit_ratio,
            **self.counts(),
        }
        for which in ("all", "hits", "misses"):
            for name, value in self.latencies_ms(which).items():
                row[f"latency_{which}_{name}_ms"] = value
        for name in ("origin_requests", "origin_bytes", "origin_peak", "evictions", "forced", "inactive"):
            row[name] = getattr(self, name)
        for name in ("forced_on_path", "refused", "decisions_ok", "decisions_late", "decisions_without", "wakes"):
            row[name] = getattr(self, name)
        for name in ("peak", "mean", "final"):
            row[f"disk_{name}_bytes"] = getattr(self, f"disk_{name}") if in_bytes else None
        row |= {
            "disk_peak_objects": self.objects_peak,
            "disk_final_objects": self.objects_final,
            "overshoot": self.overshoot,
            "duration_s": self.duration_s,
            "config": json.dumps(_plain(self.config)),
        }
        return row

    def series(self) -> pd.DataFrame:
        """Return what was on disk over time: ``t_s``, ``size`` in bytes or objects, ``objects``."""
        import pandas as pd

        return pd.DataFrame({"t_s": self.series_s, "size": self.series_size, "objects": self.series_objects})

    def to_json(self) -> str:
        """Return the row and the samples of the disk as one JSON document."""
        series = {
            "t_s": self.series_s.tolist(),
            "size": self.series_size.tolist(),
            "objects": self.series_objects.tolist(),
        }
        return json.dumps({"schema": 1, "row": self.to_row(), "series": series}, indent=1)

    def plot(self) -> Any:
        """Draw size on disk, hit ratio over time, and the distribution of latencies; return the matplotlib figure."""
        from .plot import plot_proxy

        return plot_proxy([self])

    def __repr__(self) -> str:
        p99 = self.latencies_ms()["p99"]
        return (
            f"ProxyResult({self.policy} at {self.config.size}: hit ratio {self.hit_ratio:.4f}, p99 {p99:.3g} ms, "
            f"overshoot {100 * self.overshoot:+.1f}%)"
        )

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in self.to_row().items()
        )
        return f"<table>{rows}</table>"


def _plain(config: Any) -> dict[str, Any]:
    """A configuration as plain values, those that are not the default only."""
    found = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            found[field.name] = _plain(value) if hasattr(value, "__dataclass_fields__") else value
    return found
