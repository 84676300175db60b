"""What a user should know about a trace beside its numbers: records that were dropped or repaired, and other facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...traces.units import format_bytes, format_count, format_duration
from .guard import say

if TYPE_CHECKING:
    from ...traces.provenance import Provenance
    from ...traces.request import RequestTrace

__all__ = ["facts", "lost_records", "say_notes"]

SHOWN = 5
"""Notes shown of a trace; the others are named."""


def facts(trace: RequestTrace) -> str:
    """Requests, objects, footprint and duration in a few words."""
    words = [f"{format_count(trace.n_requests)} requests", f"{format_count(trace.n_objects)} objects"]
    if trace.footprint_bytes is not None:
        words.append(format_bytes(trace.footprint_bytes))
    if trace.duration_s:
        words.append(format_duration(trace.duration_s))
    return ", ".join(words)


def lost_records(provenance: Provenance) -> list[str]:
    """A line for what was dropped and one for what was repaired, by reason; none where nothing was."""
    account = provenance.account
    lines = []
    if account.dropped:
        lines.append(f"dropped {_total(account.dropped)} of {account.records:,} records: {_each(account.dropped)}")
    if account.repaired:
        values = "value" if account.repaired.total() == 1 else "values"
        lines.append(f"repaired {_total(account.repaired)} {values}: {_each(account.repaired)}")
    return lines


def _total(reasons: Counter[str]) -> str:
    return f"{reasons.total():,}"


def _each(reasons: Counter[str]) -> str:
    return "; ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())


def _is_example(note: str) -> bool:
    """Whether a note shows one record that was dropped; what is true of the whole trace goes first."""
    return note.startswith(("line ", "byte "))


def say_notes(traces: Iterable[RequestTrace], *, quiet: bool = False) -> None:
    """Write what is to be known about the traces to stderr."""
    for trace in () if quiet else traces:
        notes = sorted(trace.provenance.account.notes, key=_is_example)
        lines = [*lost_records(trace.provenance), *notes[:SHOWN]]
        if (more := len(notes) - SHOWN) > 0:
            lines.append(f"and {more} more note{'s' * (more > 1)}, see: evictlab trace info")
        for line in lines:
            say(f"{trace.name}: {line}")
