"""The course of a metric over time windows, one line of small bars per policy and size."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .table import TITLES, Row, print_table, size_of, size_words

if TYPE_CHECKING:
    from rich.console import Console

    from .options import Metric

__all__ = ["print_windows"]

BARS, PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-=+*#@"
"""From low to high; the second where the output knows only ASCII."""


def print_windows(console: Console, rows: Sequence[Row], metric: Metric, length: str) -> None:
    """Print for each trace and size a line per policy: the course, the lowest, median and highest value.

    Parameters
    ----------
    console : Console
    rows : sequence of dict
        Rows of windows.
    metric : Metric
    length : str
        Of a window, as it was asked for.
    """
    from rich.text import Text

    bars = BARS if console.encoding.lower().startswith("utf") else PLAIN_BARS
    for trace, size in dict.fromkeys((row["trace"], size_of(row)) for row in rows):
        mine = [row for row in rows if (row["trace"], size_of(row)) == (trace, size)]
        known = [row[metric.column] for row in mine if row[metric.column] is not None]
        if not known:
            continue
        policies = list(dict.fromkeys(row["policy"] for row in mine))
        courses = {policy: _course(mine, policy, metric.column) for policy in policies}
        low, high = min(known), max(known)
        room = max(10, console.width - max(len("policy"), *map(len, policies)) - 3 * len("  highest") - 2)
        count = 1 + max(row["window"] for row in mine)
        step = -(-count // room)
        console.print()
        heading = f" at {' = '.join(size_words(size))}, {count:,} {'windows' if count > 1 else 'window'} of {length}"
        console.print(Text.assemble((trace, "bold"), heading + (f", {step} to a bar" if step > 1 else "")))
        scale = f"{TITLES[metric.value]}; {bars[0]} is {100 * low:.2f}, {bars[-1]} is {100 * high:.2f}"
        console.print(Text(scale, style="dim"))
        columns = [
            ([heading], [Text(f"{100 * pick(courses[policy]):.2f}") for policy in policies])
            for heading, pick in (("lowest", min), ("median", statistics.median), ("highest", max))
        ]
        lines = [_bars(courses[policy], low, high, step, bars) for policy in policies]
        columns.append((["course"], [Text(line) for line in lines]))
        print_table(console, (["policy"], [Text(policy) for policy in policies]), columns, last_left=True)


def _course(rows: Sequence[Row], policy: str, column: str) -> list[float]:
    """The metric of each window in order, mean over the seeds."""
    by_window: dict[int, list[float]] = {}
    for row in rows:
        if row["policy"] == policy and row[column] is not None:
            by_window.setdefault(row["window"], []).append(row[column])
    return [statistics.fmean(by_window[window]) for window in sorted(by_window)]


def _bars(course: Sequence[float], low: float, high: float, step: int, bars: str) -> str:
    """One bar per `step` windows: their mean between `low` and `high`."""
    means = [statistics.fmean(course[i : i + step]) for i in range(0, len(course), step)]
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return "".join(bars[round((mean - low) * scale)] for mean in means)
