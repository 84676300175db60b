"""A progress bar on stderr, where somebody is watching."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...traces.units import format_count

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Bar", "progress_bar"]


class Bar:
    """A progress bar, to be called with the number of requests replayed since the last call; from any thread."""

    def __init__(self, bar: Progress, total: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task("replaying", total=total, done="")

    def __call__(self, requests: int) -> None:
        """Note that so many more requests are replayed."""
        self._bar.advance(self._task, requests)
        self._bar.update(self._task, done=format_count(self._bar.tasks[0].completed))

    def expect(self, total: int) -> None:
        """Say how many requests there are in all."""
        self._bar.update(self._task, total=total)


@contextmanager
def progress_bar(total: int | None = None, *, quiet: bool = False, unit: str = "requests") -> Iterator[Bar | None]:
    """Show how many requests are replayed, on a terminal only; the bar vanishes at the end.

    Parameters
    ----------
    total : int, optional
        Number of requests in all; None = to be said later, see `Bar.expect`.
    quiet : bool
        No bar at all.
    unit : str
        What is counted.

    Yields
    ------
    Bar or None
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    words = (TextColumn("{task.description}"), TextColumn(f"{{task.fields[done]}} {unit}"))
    columns = (*words, BarColumn(bar_width=None), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Bar(bar, total)
