"""Pictures of results: one panel per trace, one colour per policy everywhere, axes with units.

LRU is grey, offline optima are black and dashed, others keep their colour from picture to picture. Figures are made
without pyplot, so that nothing is left open and no display is needed.
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..policies.registry import is_offline
from ..traces.errors import ResultError
from .files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .result import Result

__all__ = ["METRICS", "capacity_axis", "plot_result", "plot_windows", "save_figure", "style_of"]

METRICS = {
    "miss_ratio": "miss ratio (requests)",
    "byte_miss_ratio": "byte miss ratio",
    "cost_miss_ratio": "origin time not saved (ratio)",
}
"""Axis label of each metric."""

FEW_CAPACITIES = 3
"""Up to so many, the capacities themselves are marked on the axis."""

_FIXED = {
    "lru": ("0.55", "-"),
    "fifo": ("0.75", "-"),
    "belady": ("black", "--"),
    "belady_size": ("black", "-."),
    "sieve": ("#009e73", "-"),
    "s3fifo": ("#0072b2", "-"),
    "arc": ("#e69f00", "-"),
    "wtinylfu": ("#d55e00", "-"),
    "lirs": ("#cc79a7", "-"),
    "gdsf": ("#56b4e9", "-"),
    "lhd": ("#8c564b", "-"),
    "clock": ("#b2a400", "-"),
    "twoq": ("#6a3d9a", "-"),
}
_OTHERS = ("#1f78b4", "#33a02c", "#e31a1c", "#ff7f00", "#b15928", "#7570b3", "#66a61e", "#e7298a", "#1b9e77", "#a6761d")
_DASHES = ("-", "--", "-.", ":")


def style_of(policy: str) -> dict[str, Any]:
    """Return colour and line style of a policy label; the same in every picture.

    Parameters
    ----------
    policy : str
        As in the column ``policy``; parameters change the dashes, not the colour.
    """
    name, colon, settings = policy.partition(":")
    colour, dash = _FIXED.get(name, (None, "-"))
    if colour is None:
        code = zlib.crc32(name.encode())
        colour, dash = _OTHERS[code % len(_OTHERS)], _DASHES[code // len(_OTHERS) % 2]
    if colon:
        dash = _DASHES[1 + zlib.crc32(settings.encode()) % 3]
    return {"color": colour, "linestyle": dash}


def plot_result(result: Result, metric: str = "miss_ratio", *, columns: int = 3) -> Figure:
    """Draw `metric` against capacity, a panel per trace; bars where there is one capacity only.

    Parameters
    ----------
    result : Result
    metric : str
        A key of `METRICS` that the result has.
    columns : int
        Panels side by side, at the most.

    Returns
    -------
    Figure
        With several seeds, lines are means and bands the range between seeds.
    """
    traces = list(dict.fromkeys(result.frame["trace"]))
    figure, panels = _panels(len(traces), columns)
    for axes, trace in zip(panels, traces, strict=False):
        rows = result.frame[(result.frame["trace"] == trace) & result.frame[metric].notna()]
        if rows.empty:
            axes.set_axis_off()
            axes.set_title(f"{trace}: no {METRICS[metric]}", fontsize=10)
            continue
        unit, amount = (
            ("bytes", "capacity_bytes") if rows["capacity_bytes"].notna().all() else ("objects", "capacity_objects")
        )
        rows = rows.dropna(subset=[amount]).astype({amount: float})
        _draw_lines(axes, rows, amount, metric) if rows[amount].nunique() > 1 else _draw_bars(axes, rows, metric)
        if rows[amount].nunique() > 1:
            capacity_axis(axes, unit)
            if rows[amount].nunique() <= FEW_CAPACITIES:  # powers of the base may miss all of them
                axes.set_xticks(sorted(rows[amount].unique()))
            axes.set_ylabel(METRICS[metric])
        axes.set_title(_finding(trace, rows, metric), fontsize=10)
    _legend(figure, panels)
    return figure


def plot_windows(result: Result, metric: str = "miss_ratio", *, columns: int = 2) -> Figure:
    """Draw `metric` over the trace's time, a panel per trace and capacity.

    Raises
    ------
    ResultError
        When the result has no windows.
    """
    if result.windows.empty:
        raise ResultError("these results have no time windows; replay with window=... (--window 10min)")
    groups = list(result.windows.groupby(["trace", "capacity"], sort=False))
    figure, panels = _panels(len(groups), columns)
    for axes, ((trace, capacity), rows) in zip(panels, groups, strict=False):
        timed = rows["window_start_s"].notna().all()
        for policy, lines in rows.groupby("policy", sort=False):
            mean = lines.groupby("window_start_s" if timed else "window")[metric].mean()
            x = mean.index / 3600 if timed else mean.index
            axes.plot(x, mean, label=policy, lw=1.2, **style_of(str(policy)))
        axes.set_xlabel("time since the first request (h)" if timed else "window")
        axes.set_ylabel(METRICS[metric])
        axes.set_title(f"{trace}, {capacity}", fontsize=10)
        axes.grid(alpha=0.25)
    _legend(figure, panels)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str], data: pd.DataFrame) -> Path:
    """Write a figure, and beside it its data as CSV (same name, ``.csv``).

    Parameters
    ----------
    figure : Figure
    path : path
        The suffix chooses the format: png, svg, pdf.
    data : DataFrame
        What is drawn.

    Raises
    ------
    ResultError
        An unknown suffix, or the file cannot be written.
    """
    path = Path(path)
    known = sorted(figure.canvas.get_supported_filetypes())
    kind = path.suffix.removeprefix(".").lower()
    if kind not in known:
        raise ResultError(f"{path}: a picture cannot be written as {path.suffix!r}; take one of {', '.join(known)}")
    write_whole(path, lambda part: figure.savefig(part, format=kind, dpi=150))
    write_whole(path.with_suffix(".csv"), lambda part: data.to_csv(part, index=False))
    return path


def _panels(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    from .picture import Picture

    columns = min(count, columns)
    rows = math.ceil(count / columns)
    figure = Picture(figsize=(1.6 + 4.4 * columns, 0.4 + 3.6 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels[:count]


def _draw_lines(axes: Axes, rows: pd.DataFrame, amount: str, metric: str) -> None:
    for policy, lines in rows.groupby("policy", sort=False):
        by_size = lines.groupby(amount)[metric]
        mean = by_size.mean()
        style = style_of(str(policy))
        axes.plot(mean.index, mean, label=policy, marker="o", ms=3, lw=1.6, **style)
        if by_size.count().max() > 1:
            axes.fill_between(mean.index, by_size.min(), by_size.max(), color=style["color"], alpha=0.2, lw=0)
    axes.grid(alpha=0.25)
    axes.set_ylim(bottom=0)


def _draw_bars(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    mean = rows.groupby("policy", sort=False)[metric].mean().sort_values(ascending=False)
    bars = axes.barh(
        [str(name) for name in mean.index], mean, color=[style_of(str(name))["color"] for name in mean.index]
    )
    axes.bar_label(bars, fmt="%.4f", padding=3, fontsize=8)
    axes.set_xlim(0, min(1.15 * mean.max(), 1.25) or 1)
    axes.set_xlabel(f"{METRICS[metric]} at {rows['capacity'].iloc[0]}")


def capacity_axis(axes: Axes, unit: str) -> None:
    """Make the horizontal axis logarithmic, with capacities in ``"bytes"`` or ``"objects"`` as people write them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    from ..traces.units import format_bytes, format_count

    base = 2 if unit == "bytes" else 10
    axes.set_xscale("log", base=base)
    axes.xaxis.set_major_locator(LogLocator(base, numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_bytes(x) if unit == "bytes" else format_count(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"cache size ({unit})")


def _finding(trace: str, rows: pd.DataFrame, metric: str) -> str:
    """Say in the title who wins most often, offline policies left out."""
    online = rows[[not is_offline(str(policy)) for policy in rows["policy"]]]
    if online["policy"].nunique() < 2:
        return trace
    mean = online.groupby(["capacity", "policy"], sort=False)[metric].mean()
    wins = mean.groupby(level="capacity").idxmin().map(lambda key: key[1]).value_counts()
    return f"{trace}: {wins.index[0]} lowest at {wins.iloc[0]} of {wins.sum()} sizes"


def _legend(figure: Figure, panels: list[Axes]) -> None:
    """One legend for all panels, to the right."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(list(found.values()), list(found), loc="outside right upper", frameon=False, fontsize=9)
