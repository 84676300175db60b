"""``evictlab trace info``: what is in a trace."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import typer

from .. import options as of
from ..table import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ....traces.describe import TraceFacts
    from ....traces.request import RequestTrace

__all__ = ["info"]


def info(
    traces: of.Sources,
    start: of.From = None,
    stop: of.To = None,
    limit: of.Limit = None,
    split: of.Split = None,
    concat: of.Concat = False,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    no_cache: of.NoCache = False,
    json: of.Json = False,
) -> None:
    """Say what is in a trace: requests, objects, sizes, popularity, times, and every dropped or repaired record."""
    from ....traces.describe import trace_facts
    from ...sources import open_sources

    selection = of.selection_of(limit, start, stop, split, None, 0)
    opened = open_sources(
        traces, selection, concat=concat, cache=not no_cache, **of.reader_options(reader, nginx_conf, max_bad)
    )
    found = [(trace, trace_facts(trace)) for trace in opened]
    if json:
        from json import dumps

        records = [_finite(dataclasses.asdict(facts)) for _, facts in found]
        typer.echo(dumps({"schema": 1, "traces": records}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for number, (trace, facts) in enumerate(found):
        if number:
            console.print()
        console.print(Text(facts.name, style="bold"))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for what, words in _lines(trace, facts):
            table.add_row(what, Text(words))
        show(console, table, whole=True)


def _lines(trace: RequestTrace, facts: TraceFacts) -> Iterator[tuple[str, str]]:
    """Label and words of each fact that the trace gives."""
    from ....traces.units import format_bytes, format_count, format_duration
    from ..notes import lost_records

    yield "source", facts.source or "generated"
    yield "format", facts.reader
    yield "requests", f"{facts.n_requests:,}"
    yield "objects", f"{facts.n_objects:,}, of which {facts.one_hit_share:.1%} are requested once"
    yield "unavoidable", f"{facts.compulsory_miss_ratio:.2%} of the requests are the first for their object"
    tops = (f"{share:.0%}" if share >= 0.01 else f"{share:.1%}" for share in facts.top_shares)
    shares = (f"{value:.1%}" for value in facts.top_shares.values())
    popular = ", ".join(f"top {top} of objects {share}" for top, share in zip(tops, shares, strict=True))
    yield "popularity", f"{popular} of the requests"
    if facts.zipf_alpha is not None:
        yield "", f"Zipf exponent about {facts.zipf_alpha:.2f}"
    if facts.footprint_bytes is not None and facts.requested_bytes is not None:
        yield (
            "bytes",
            f"{format_bytes(facts.footprint_bytes)} of objects, {format_bytes(facts.requested_bytes)} requested",
        )
    if facts.size_quantiles is not None:
        yield "object sizes", _quantiles(facts.size_quantiles, format_bytes)
    if facts.duration_s is not None:
        rate = f", {format_count(facts.requests_per_s)} requests/s" if facts.requests_per_s else ""
        yield "duration", format_duration(facts.duration_s) + rate
    if facts.ttl_quantiles_s is not None:
        yield "TTL", _quantiles(facts.ttl_quantiles_s, format_duration)
    if facts.ops is not None:
        yield "operations", ", ".join(f"{name} {count:,}" for name, count in facts.ops.items())
    if facts.predicted_share is not None:
        yield "predictions", f"for {facts.predicted_share:.1%} of the requests: --predict column"
    if facts.known_share is not None:
        yield "sizes known", f"of {facts.known_share:.1%} of the requests; the others are concluded from these"
    if facts.logged is not None:
        yield "real cache", ", ".join(f"{word} {count:,}" for word, count in facts.logged.items()) or "said nothing"
    yield "costs", "origin time of each request" if trace.costs is not None else "none given"
    for line in lost_records(trace.provenance) or [f"none dropped, none repaired of {facts.records:,}"]:
        yield "records", line
    for note in facts.notes:
        yield "note", note


def _quantiles(values: dict[float, Any], written: Any) -> str:
    names = {0.0: "least", 0.5: "median", 1.0: "most"}
    chosen = (share for share in (0.0, 0.5, 0.9, 0.99, 1.0) if share in values)
    return ", ".join(f"{names.get(share, f'{share:.0%}')} {written(values[share])}" for share in chosen)


def _finite(value: Any) -> Any:
    """The same with text for keys, and None where JSON has no number (a TTL that never ends)."""
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
