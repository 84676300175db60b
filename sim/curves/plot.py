"""Curves in one picture: misses against capacity, one line per curve, colours as everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...traces.errors import UsageError
from ..plot import METRICS, capacity_axis, style_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .result import Curve

__all__ = ["plot_curves"]

_DRAWN = 400
"""Points per line: more than a screen shows."""


def plot_curves(curves: Sequence[Curve], metric: str = "miss_ratio") -> Figure:
    """Draw curves of one trace or several against a logarithmic axis of capacity.

    Parameters
    ----------
    curves : sequence of Curve
        All in objects, or all in bytes.
    metric : {"miss_ratio", "byte_miss_ratio"}

    Returns
    -------
    Figure
        Stack-based curves are drawn as the steps they are; miniature simulations as dots with a line between.

    Raises
    ------
    UsageError
        No curve, or some in objects and some in bytes.
    UnknownNameError
        A curve without that metric.
    """
    from ..picture import Picture

    units = {curve.unit for curve in curves}
    if len(units) != 1:
        raise UsageError("one picture shows curves in objects or curves in bytes, at least one and not both")
    figure = Picture(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    names = {curve.trace for curve in curves}
    for curve in curves:
        shown = curve.points(_DRAWN)
        label = curve.policy if len(names) == 1 else f"{curve.policy}, {curve.trace}"
        label += "" if curve.exact else f" ({curve.method}, {100 * curve.rate:.3g}%)"
        simulated = curve.method == "miniature"
        axes.plot(
            shown.capacities,
            shown.values(metric),
            label=label,
            lw=1.6,
            marker="o" if simulated else None,
            ms=3,
            drawstyle="default" if simulated else "steps-post",
            **style_of(curve.policy),
        )
    capacity_axis(axes, units.pop())
    axes.set_ylabel(METRICS[metric])
    axes.set_ylim(0, None)
    axes.grid(alpha=0.25)
    axes.set_title(", ".join(sorted(names)), fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    return figure
