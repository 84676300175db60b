"""A progress bar on stderr, where somebody is watching."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int], None] | None]:
    """Show how much of `total` requests is replayed, on a terminal only; it vanishes at the end.

    Parameters
    ----------
    total : int, optional
        None = not known in advance.
    quiet : bool
        No bar at all.

    Yields
    ------
    callable or None
        To be told the number of requests replayed since the last call; from any thread.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = [TextColumn("replaying {task.fields[done]}"), BarColumn(bar_width=None)]
    columns += [TimeElapsedColumn()] if total is None else [TaskProgressColumn(), TimeRemainingColumn()]
    from ...traces.units import format_count

    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, done="")

        def advance(requests: int) -> None:
            bar.advance(task, requests)
            bar.update(task, done=f"{format_count(bar.tasks[0].completed)} requests")

        yield advance
