"""Picture of a table of attention replays: what a budget keeps, what it costs in error, and the worst queries."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ...policies.kv.registry import kv_policy_names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["plot_attention"]

PANELS = (
    ("live_slots", "mass_beyond_sink", "slots per head (mean while decoding)", "attention kept, without sinks"),
    ("live_slots", "mass_worst", "slots per head (mean while decoding)", "attention kept, worst 5% of queries"),
    ("resident_bytes", "output_error", "resident bytes (mean)", "relative error of a head's output"),
)
"""Column across, column up, and their titles."""

COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
MARKERS = ("o", "s", "D", "^", "v")


def plot_attention(summary: pd.DataFrame, oracles: Collection[str] = ()) -> Figure:
    """Draw a table in three panels, a line per policy.

    Parameters
    ----------
    summary : DataFrame
        See `AttentionTable.summary`.
    oracles : collection of str
        Policies that are bounds: drawn in black.
    """
    from ..picture import Picture

    figure: Figure = Picture(figsize=(14.8, 4.4), layout="constrained")
    styles = {policy: _style(policy, policy in oracles) for policy in dict.fromkeys(summary["policy"])}
    for axes, (across, up, x_title, y_title) in zip(figure.subplots(1, 3), PANELS, strict=True):
        for policy, style in styles.items():
            mine = summary[(summary["policy"] == policy) & summary[up].notna()].sort_values(across)
            if policy == "full":
                continue
            axes.plot(mine[across], mine[up], ms=4.5, lw=1.2, label=policy, **style)
        axes.set_xscale("log")
        if up == "output_error":
            axes.set_yscale("log")
        axes.set_xlabel(x_title)
        axes.set_ylabel(y_title)
        axes.grid(alpha=0.25, which="both")
        axes.xaxis.set_minor_formatter("")
    _few_ticks(figure, summary)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _style(policy: str, oracle: bool) -> dict[str, Any]:
    """Colour and mark by the place in the registry, so that a policy looks the same in every picture; oracles in black."""
    name, _, settings = policy.partition(":")
    names = kv_policy_names()
    # What is no KV policy is a cache policy applied to tokens.
    place = names.index(name) if name in names else len(names) + zlib.crc32(name.encode()) % len(COLOURS)
    marker = MARKERS[place // len(COLOURS) % len(MARKERS)]
    colour = "black" if oracle else COLOURS[place % len(COLOURS)]
    dash = "--" if oracle else ":" if settings else "-"
    return {"color": colour, "marker": MARKERS[place % len(MARKERS)] if oracle else marker, "linestyle": dash}


def _few_ticks(figure: Figure, summary: pd.DataFrame) -> None:
    """Name the budgets on the axes of slots: a logarithmic axis over one decade would name one number."""
    from ...traces.units import format_bytes

    summary = summary[summary["policy"] != "full"]
    if summary.empty:
        return
    budgets = sorted({round(value) for value in summary["live_slots"]})
    apart: list[int] = []
    for value in budgets:
        if not apart or value > 1.35 * apart[-1]:
            apart.append(value)
    for axes in figure.axes[:2]:
        axes.set_xticks(apart, [str(value) for value in apart])
    sizes = sorted(summary["resident_bytes"])
    ticks = [sizes[0], (sizes[0] * sizes[-1]) ** 0.5, sizes[-1]] if sizes[-1] > 1.5 * sizes[0] else [sizes[0]]
    figure.axes[2].set_xticks(ticks, [format_bytes(round(value)) for value in ticks])
