"""What the order of requests within a second could change, said beside the results of a log with whole-second stamps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...traces.units import format_count
from .guard import say

if TYPE_CHECKING:
    from ...sim.runs import Run

__all__ = ["say_ties"]

MOST_REQUESTS = 20_000_000
"""Of longer traces the requests of the beginning are looked at: some seconds of work are enough for a note."""


def say_ties(runs: Sequence[Run]) -> None:
    """Write to stderr how much LRU's miss ratio depends on the order within seconds; once per trace, at its first size."""
    from ...sim.ties import tie_sensitivity
    from ...traces.weblog.requests.arrivals import SPREAD

    first = {id(run.trace): run for run in reversed(runs) if run.trace.provenance.account.repaired[SPREAD]}
    for run in reversed(first.values()):
        part = run.trace if len(run.trace) <= MOST_REQUESTS else run.trace[:MOST_REQUESTS]
        found = tie_sensitivity(part, run.capacity)
        whose = "" if part is run.trace else f" of the first {format_count(MOST_REQUESTS)} requests"
        say(
            f"{run.trace.name}: {found.tied_share:.0%} of the requests share their second with others; in another order LRU's "
            f"miss ratio{whose} at {run.capacity.label} differs by up to {100 * found.largest:.2f} points"
        )
