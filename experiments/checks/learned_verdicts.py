"""What is asked of the learned policy in a real NGINX, and whether the runs show it: nothing is rounded in its favour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .learned_page import LEARNED, NATIVE, name_of

__all__ = ["Verdict", "verdicts"]

ROUND_TRIP_US, FALLBACKS, OFF = 500, 0.01, 0.01
"""Aims: p95 of the round trips below, share of rounds in which LRU went on at most, difference of hit ratios at most."""

PAIRS = 3
"""With fewer, the runs do not tell how much one differs from the next."""


@dataclass(frozen=True)
class Verdict:
    """One aim.

    Attributes
    ----------
    aim : str
    met : bool or None
        None = these runs cannot tell.
    found : str
        What was measured.
    """

    aim: str
    met: bool | None
    found: str

    @property
    def word(self) -> str:
        """For a table."""
        return "unknown" if self.met is None else "met" if self.met else "MISSED"


def verdicts(rows: Sequence[dict[str, Any]]) -> list[Verdict]:
    """Judge the runs.

    Parameters
    ----------
    rows : sequence of dict
        Of `evictlab.experiments.checks.learned.measure`: pairs.
    """
    native = sorted((row for row in rows if row["policy"] == NATIVE), key=_number)
    learned = sorted((row for row in rows if row["policy"] == LEARNED), key=_number)
    return [
        _hits(native, learned),
        _round_trip(learned),
        _fallbacks(learned),
        _predicted(NATIVE, native),
        _predicted(LEARNED, learned),
        *(_latency(share, native, learned) for share in ("p50", "p99")),
        _none("crit, alert or emerg in NGINX's error log", "grave_lines", rows),
        _none("failed requests", "failed", rows),
    ]


def _number(row: dict[str, Any]) -> int:
    return int(row["repeat"])


def _hits(native: Sequence[dict[str, Any]], learned: Sequence[dict[str, Any]]) -> Verdict:
    gains = [mine["hit_ratio"] - theirs["hit_ratio"] for theirs, mine in zip(native, learned, strict=True)]
    points = [100 * gain for gain in gains]
    found = f"{_range(points, '+.2f')} points"
    return Verdict("hit ratio above native's in every pair", min(gains) > 0, found)


def _round_trip(learned: Sequence[dict[str, Any]]) -> Verdict:
    aim = f"round trip p95 below {ROUND_TRIP_US} us in every run"
    if not all(row["asked"] for row in learned):
        return Verdict(aim, False, "a sidecar was never asked")
    worst = max(row["round_trip_p95_us"] for row in learned)
    return Verdict(aim, worst < ROUND_TRIP_US, f"{_range([row['round_trip_p95_us'] for row in learned])} us")


def _fallbacks(learned: Sequence[dict[str, Any]]) -> Verdict:
    aim = f"LRU in at most {FALLBACKS:.0%} of every run's rounds"
    if not all(row["rounds"] for row in learned):
        return Verdict(aim, False, "in a run there was nothing to evict")
    shares = [row["fallback_share"] for row in learned]
    return Verdict(aim, max(shares) <= FALLBACKS, f"{_range([100 * share for share in shares], '.2f')} %")


def _predicted(who: str, rows: Sequence[dict[str, Any]]) -> Verdict:
    worst = max((row["difference"] for row in rows), key=abs)
    aim = f"{who} predicted within {100 * OFF:g} point"
    return Verdict(aim, abs(worst) <= OFF, f"at most {100 * worst:+.2f}")


def _latency(share: str, native: Sequence[dict[str, Any]], learned: Sequence[dict[str, Any]]) -> Verdict:
    """Of hits alone: over all requests, the policy that misses less would look quicker, whatever it cost.

    The median of the learned runs is compared: one slow run of either kind decides nothing.
    """
    column = f"hit_latency_{share}_ms"
    theirs, mine = [row[column] for row in native], [row[column] for row in learned]
    aim = f"hits' {share} not above native's slowest"
    if None in (*theirs, *mine):
        return Verdict(aim, False, "a run without hits")
    found = f"{median(mine):.2f} ms, native {_range(theirs, '.2f')}"
    return Verdict(aim, median(mine) <= max(theirs) if len(native) >= PAIRS else None, found)


def _range(values: Sequence[float], how: str = "") -> str:
    """Return the least and the largest, or the only one."""
    least, most = f"{min(values):{how}}", f"{max(values):{how}}"
    return least if least == most else f"{least} to {most}"


def _none(what: str, column: str, rows: Sequence[dict[str, Any]]) -> Verdict:
    count = sum(row[column] for row in rows)
    where = ", ".join(name_of(row) for row in rows if row[column])
    return Verdict(f"no {what}", count == 0, f"{count}{where and f' ({where})'}")
