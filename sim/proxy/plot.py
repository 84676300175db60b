"""Picture of proxies: size on disk and hit ratio over time, and how long clients waited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..plot import style_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .result import ProxyResult

__all__ = ["plot_proxy"]

WINDOWS = 60
"""Points of the hit ratio over time."""

POINTS = 400
"""Points of the distribution of latencies."""

SPANS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}
"""Seconds of the units of the time axis."""


def plot_proxy(results: Sequence[ProxyResult]) -> Figure:
    """Draw one or several runs in three panels.

    Parameters
    ----------
    results : sequence of ProxyResult
        Of the same trace.

    Returns
    -------
    Figure
        Left: what is on disk, with the size that it should have. Middle: share of the requests of each sixtieth of the time
        that were served from the cache. Right: share of the requests that were answered within a time.
    """
    from ..picture import Picture

    figure: Figure = Picture(figsize=(14.8, 4.0), layout="constrained")
    disk, ratio, latency = figure.subplots(1, 3)
    sizes = list(dict.fromkeys(result.config.size for result in results))
    longest = max(result.duration_s for result in results)
    unit = next((name for name, seconds in SPANS.items() if longest >= 2 * seconds), "s")
    for result in results:
        style = dict(style_of(result.policy), lw=1.4)
        label = result.policy
        if len(sizes) > 1:  # then the dashes tell sizes apart; colours stay those of the policies
            style["linestyle"] = ("-", "--", "-.", ":")[sizes.index(result.config.size) % 4]
            label = f"{result.policy}, {result.config.size}"
        disk.plot(result.series_s / SPANS[unit], _on_disk(result), label=label, **style)
        ratio.plot(*_ratio_over_time(result, SPANS[unit]), **style)
        latency.plot(*_answered_within(result.latency), **style)
    for capacity in dict.fromkeys(result.capacity for result in results):
        disk.axhline(capacity / (1e6 if results[0].in_bytes else 1), color="black", lw=0.9, ls=":", zorder=0)
    disk.plot([], [], color="black", lw=0.9, ls=":", label="as configured")
    _finish(
        disk, f"time ({unit})", "on disk (MB)" if results[0].in_bytes else "on disk (objects)", _overshoots(results)
    )
    _finish(ratio, f"time ({unit})", "hit ratio (requests)", "served from the cache")
    ratio.set_ylim(0, 1)
    _finish(latency, "answered within (ms)", "share of the requests", "latency")
    latency.set_ylim(0, 1.01)
    if any(result.latency.max() > 0 for result in results):
        latency.set_xscale("symlog", linthresh=_least_ms(results))
    latency.set_xlim(left=0)
    figure.legend(*disk.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _finish(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.set_ylim(bottom=0)


def _on_disk(result: ProxyResult) -> npt.NDArray[np.float64]:
    return np.asarray(result.series_size / (1e6 if result.in_bytes else 1), np.float64)


def _overshoots(results: Sequence[ProxyResult]) -> str:
    """Say how far above the line the worst run got."""
    worst = max(results, key=lambda result: result.overshoot)
    if worst.overshoot <= 0:
        return "never above the configured size"
    return f"up to {1 + worst.overshoot:.2f} times the configured size"


def _ratio_over_time(result: ProxyResult, span: float) -> tuple[Any, Any]:
    """Middles of windows, and the hit ratio in each that has requests."""
    edges = np.linspace(0, max(float(result.seconds[-1]), 1e-9), WINDOWS + 1)
    window = np.clip(np.searchsorted(edges, result.seconds, "right") - 1, 0, WINDOWS - 1)
    requests = np.bincount(window, minlength=WINDOWS)
    hits = np.bincount(window, weights=result.served, minlength=WINDOWS)
    used = requests > 0
    return (edges[:-1] + edges[1:])[used] / 2 / span, hits[used] / requests[used]


def _answered_within(latency: npt.NDArray[np.float32]) -> tuple[Any, Any]:
    """Milliseconds, and the share of the requests that took no longer."""
    shares = np.linspace(0, 1, POINTS)
    return np.quantile(latency, shares, method="inverted_cdf") * 1000, shares


def _least_ms(results: Sequence[ProxyResult]) -> float:
    """The smallest latency above 0, below which the axis is linear."""
    return 1000 * min(float(r.latency[r.latency > 0].min()) for r in results if r.latency.max() > 0)
