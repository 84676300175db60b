"""Rows of results as people read them: per trace, policies down and sizes across, the best of each size bold."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...traces.units import format_bytes, format_count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from .options import Metric

__all__ = ["TITLES", "Row", "plain_table", "print_results", "print_table", "show", "size_of", "size_words"]

TITLES = {
    "requests": "miss ratio, % of requests",
    "bytes": "miss ratio, % of bytes",
    "cost": "origin time not saved, %",
}
"""What a table of each metric shows."""

ABSENT = "-"

MANY = 8
"""With more traces than this, one table of all together says more than one of each."""

Row = Mapping[str, Any]
SizeKey = tuple[str, int | None, int | None]
Column = tuple[list[str], list[Any]]


def print_results(
    console: Console, rows: Sequence[Row], metric: Metric, facts: Mapping[str, str] | None = None
) -> None:
    """Print one table per trace or, of more than `MANY`, one of all together.

    Parameters
    ----------
    console : Console
    rows : sequence of dict
        Rows of whole replays, see `evictlab.sim.result.COLUMNS`; where one is missing, the cell says so.
    metric : Metric
    facts : dict of str to str, optional
        A few words about each trace.
    """
    from rich.text import Text

    traces = len({row["trace"] for row in rows})
    if traces > MANY:
        together = f"all {traces} traces together"
        requests = sum({row["trace"]: row["requests"] for row in rows}.values())
        print_results(console, _summed(rows, together), metric, {together: f"{format_count(requests)} requests"})
        console.print(Text("each trace by itself: --json, or --output FILE", style="dim"))
        return
    for number, trace in enumerate(dict.fromkeys(row["trace"] for row in rows)):
        mine = [row for row in rows if row["trace"] == trace]
        policies = list(dict.fromkeys(row["policy"] for row in mine))
        sizes = list(dict.fromkeys(size_of(row) for row in mine))
        cells = {key: _values(mine, *key, metric.column) for key in ((p, s) for p in policies for s in sizes)}
        if number:
            console.print()
        console.print(Text.assemble((trace, "bold"), f"  {(facts or {}).get(trace, '')}".rstrip()))
        console.print(Text(TITLES[metric.value], style="dim"))
        columns: list[Column] = []
        over: list[Column] = []  # what theory speaks of: misses, as a multiple of the optimum's
        for size in sizes:
            best = _best({policy: cells[policy, size] for policy in policies})
            spread = any(len(cells[policy, size]) > 1 for policy in policies)
            texts = [Text(_percent(cells[p, size], spread), style="bold" if p in best else "") for p in policies]
            columns.append((size_words(size), texts))
            if "belady" in policies:
                optimum = statistics.fmean(cells["belady", size] or [0.0])
                ratios = [Text(_ratio(cells[p, size], optimum, spread)) for p in policies]
                over.append(([size_words(size)[0], "/ belady"] if len(sizes) > 1 else ["/ belady"], ratios))
        if traces == 1 and metric.value == "requests" and any("@" in policy for policy in policies):
            columns += over
        columns.append((["Mreq/s"], [Text(_speed(mine, policy)) for policy in policies]))
        print_table(console, (["policy"], [Text(policy) for policy in policies]), columns)


def _summed(rows: Sequence[Row], name: str) -> list[Row]:
    """Rows of all traces together: one per policy, size as it was written, and seed."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in rows:
        key = row["policy"], row["capacity"], row["seed"]
        total = found.setdefault(
            key, {"trace": name, "policy": key[0], "capacity": key[1], "capacity_bytes": None, "capacity_objects": None}
        )
        for column in _ADDED:
            total[column] = total.get(column, 0) + (row[column] or 0)
    for total in found.values():
        total["miss_ratio"] = total["misses"] / total["requests"]
        total["byte_miss_ratio"] = 1 - total["hit_bytes"] / total["bytes"] if total["bytes"] else None
        total["cost_miss_ratio"] = 1 - total["saved_s"] / total["cost_s"] if total["cost_s"] else None
        total["requests_per_s"] = total["requests"] / total["cpu_s"] if total["cpu_s"] else None
    return list(found.values())


_ADDED = ("requests", "misses", "bytes", "hit_bytes", "cost_s", "saved_s", "cpu_s")
"""Columns of which a total is the sum."""


def size_of(row: Row) -> SizeKey:
    """What distinguishes the sizes of one trace."""
    return row["capacity"], row["capacity_bytes"], row["capacity_objects"]


def size_words(size: SizeKey) -> list[str]:
    """A size as it was asked for and, unless it says so itself, what that is for the trace."""
    label, n_bytes, n_objects = size
    if not label.endswith("%") or (n_bytes is None and n_objects is None):
        return [label]
    return [label, format_bytes(n_bytes) if n_bytes is not None else f"{format_count(n_objects or 0)} obj"]


def print_table(console: Console, first: Column, columns: Sequence[Column], *, last_left: bool = False) -> None:
    """Print a table whose first column is repeated where the others do not fit side by side.

    Parameters
    ----------
    console : Console
    first : (heading lines, cells)
        Left-aligned.
    columns : sequence of (heading lines, cells)
        Right-aligned.
    last_left : bool
        The last one is left-aligned, too.
    """
    gap = 2
    room = max(console.width - _width(first) - gap, 1)
    rest = list(columns)
    while rest:
        used, fitting = 0, 0
        while fitting < len(rest) and (used + _width(rest[fitting]) <= room or fitting == 0):
            used += _width(rest[fitting]) + gap
            fitting += 1
        chunk, rest = rest[:fitting], rest[fitting:]
        table = plain_table()
        depth = max(len(heading) for heading, _ in (first, *chunk))
        aligned = [first, *map(_aligned_right, chunk)]
        if last_left and not rest:
            aligned[-1] = chunk[-1]
        for number, (heading, _) in enumerate(aligned):
            padded = "\n".join([*heading, *[""] * (depth - len(heading))])
            table.add_column(padded, overflow="fold", no_wrap=number > 0)
        for line in zip(*(cells for _, cells in aligned), strict=True):
            table.add_row(*line)
        show(console, table)
        if rest:
            console.print()


def plain_table() -> Table:
    """An empty table without lines, whose columns are two blanks apart."""
    from rich.table import Table

    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def show(console: Console, what: Any, *, whole: bool = False) -> None:
    """Print; into a pipe or a file without the blanks that pad the lines of a table.

    Parameters
    ----------
    console : Console
    what : anything that Rich prints
    whole : bool
        Into a pipe or a file, let no line be folded, however long: what reads it may look for whole lines.
    """
    if console.is_terminal:
        console.print(what)
        return
    if whole:
        console.width = 100_000
    with console.capture() as captured:
        console.print(what)
    console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _width(column: Column) -> int:
    heading, cells = column
    return max(len(text) for text in (*heading, *map(str, cells)))


def _aligned_right(column: Column) -> Column:
    """The same with blanks on the left; Rich would take those on the right of a cell away to align it."""
    width = _width(column)
    cells = [cell.copy() for cell in column[1]]
    for cell in cells:
        cell.pad_left(width - len(cell))
    return [text.rjust(width) for text in column[0]], cells


def _values(rows: Sequence[Row], policy: str, size: SizeKey, column: str) -> list[float]:
    """The metric of every seed."""
    same = (row for row in rows if row["policy"] == policy and size_of(row) == size)
    return [row[column] for row in same if row.get(column) is not None]


def _percent(values: Sequence[float], spread: bool = False) -> str:
    """The mean and, with several seeds, their standard deviation, or the room that it takes in other lines."""
    if not values:
        return ABSENT
    deviation = f" ±{100 * statistics.stdev(values):.2f}" if len(values) > 1 else " " * 6 * spread
    return f"{100 * statistics.fmean(values):.2f}{deviation}"


def _ratio(values: Sequence[float], optimum: float, spread: bool) -> str:
    """Mean and standard deviation of the misses as a multiple of the optimum's."""
    if not values or not optimum:
        return ABSENT
    deviation = f" ±{statistics.stdev(values) / optimum:.3f}" if len(values) > 1 else " " * 7 * spread
    return f"{statistics.fmean(values) / optimum:.3f}{deviation}"


def _best(cells: Mapping[str, Sequence[float]]) -> set[str]:
    """Policies whose cell shows the lowest value, offline ones left out; none where there is no contest."""
    from ...policies.registry import is_offline

    shown = {policy: _percent([statistics.fmean(v)]) for policy, v in cells.items() if v and not is_offline(policy)}
    lowest = min(shown.values(), key=float, default="")
    return {policy for policy, text in shown.items() if text == lowest} if len(shown) > 1 else set()


def _speed(rows: Sequence[Row], policy: str) -> str:
    """Million requests per second and core, median over the sizes."""
    speeds = [row["requests_per_s"] for row in rows if row["policy"] == policy and row["requests_per_s"]]
    return f"{statistics.median(speeds) / 1e6:.3g}" if speeds else ABSENT
