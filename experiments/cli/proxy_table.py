"""Runs of proxies as people read them: a line per policy and size, what is best at a size bold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...traces.units import format_bytes, format_count

if TYPE_CHECKING:
    from rich.console import Console

    from ...sim.proxy import ProxyResult

__all__ = ["print_proxies"]

Cell = Callable[["ProxyResult"], str]


def print_proxies(console: Console, trace: str, facts: str, results: Sequence[ProxyResult]) -> None:
    """Print a table of runs; columns that say nothing about any of them are left out.

    Parameters
    ----------
    console : Console
    trace, facts : str
        Its name, and a few words about it.
    results : sequence of ProxyResult
    """
    from rich.text import Text

    from .table import print_table

    console.print(Text.assemble((trace, "bold"), f"  {facts}".rstrip()))
    console.print(Text("hits in % of requests and of bytes, latency in ms, peak = largest size on disk", style="dim"))
    best = _best(results)
    columns = [(["hit %"], [Text(_hits(r), style="bold" if r in best else "") for r in results])]
    for heading, cell in _COLUMNS:
        texts = [cell(result) for result in results]
        if any(texts):
            columns.append(([heading], [Text(text or "-") for text in texts]))
    heading, names = _names(results)
    print_table(console, ([heading], [Text(name) for name in names]), columns)


def _names(results: Sequence[ProxyResult]) -> tuple[str, list[str]]:
    """Heading and cells that say which run it is: together with the size, where there are several."""
    if len({result.config.size for result in results}) == 1:
        return "policy", [result.policy for result in results]
    wide = max(len("policy"), *(len(result.policy) for result in results))
    deep = max(len("size"), *(len(result.config.size) for result in results))
    lines = [("policy", "size"), *((result.policy, result.config.size) for result in results)]
    heading, *names = [f"{policy:<{wide}}  {size:>{deep}}" for policy, size in lines]
    return heading, names


def _hits(result: ProxyResult) -> str:
    return f"{100 * result.hit_ratio:.2f}"


def _byte_hits(result: ProxyResult) -> str:
    ratio = result.byte_hit_ratio
    return "" if ratio is None else f"{100 * ratio:.2f}"


def _latency(name: str) -> Cell:
    def cell(result: ProxyResult) -> str:
        return f"{result.latencies_ms()[name]:.3g}" if result.latency.any() else ""

    return cell


def _peak(result: ProxyResult) -> str:
    return format_bytes(result.disk_peak) if result.in_bytes else f"{format_count(result.disk_peak)} obj"


def _overshoot(result: ProxyResult) -> str:
    percent = 100 * result.overshoot
    return f"{percent:+.1f}%" if percent < 100 else f"{percent:+.0f}%"


def _count(name: str) -> Cell:
    return lambda result: format_count(value) if (value := getattr(result, name)) else ""


def _status(*names: str) -> Cell:
    def cell(result: ProxyResult) -> str:
        counts = result.counts()
        value = sum(counts[name] for name in names)
        return format_count(value) if value else ""

    return cell


_COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("bytes %", _byte_hits),
    ("p50", _latency("p50")),
    ("p99", _latency("p99")),
    ("origin", _count("origin_requests")),
    ("peak", _peak),
    ("over", _overshoot),
    ("expired", _status("expired", "revalidated")),
    ("stale", _status("stale", "updating")),
    ("joined", _status("coalesced")),
    ("late", _count("decisions_late")),
    ("forced", _count("forced_on_path")),
)
"""Heading and cell; an empty cell says that there was nothing of it."""


def _best(results: Sequence[ProxyResult]) -> list[ProxyResult]:
    """Runs that show the highest hit ratio of their size, offline policies left out; none where there is no contest."""
    from ...policies.registry import is_offline

    found: list[ProxyResult] = []
    for size in dict.fromkeys(result.config.size for result in results):
        online = [r for r in results if r.config.size == size and not is_offline(r.policy)]
        if len(online) > 1:
            highest = max(map(_hits, online), key=float)
            found += [r for r in online if _hits(r) == highest]
    return found
