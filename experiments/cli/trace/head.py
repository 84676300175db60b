"""``evictlab trace head``: the first requests."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from .. import options as of
from ..table import plain_table, show

__all__ = ["head"]

OPS = ("get", "set", "delete", "other")
"""Names of the operations, by number."""


def head(
    traces: of.Parts,
    count: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, help="How many requests.")] = 10,
    split: of.Split = None,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    json: of.Json = False,
) -> None:
    """Show the first requests of a trace as they are understood."""
    from ....traces.batch import LOGGED
    from ...sources import open_one

    selection = of.selection_of(count, None, None, split, None, 0)
    opened = open_one(traces, selection, cache=False, **of.reader_options(reader, nginx_conf, max_bad))
    batch = next(opened.batches(count))
    columns = {
        name: values.tolist()
        for name, values in (
            ("time_s", batch.times),
            ("key", batch.keys),
            ("size", batch.sizes),
            ("op", batch.ops),
            ("ttl_s", batch.ttls),
            ("cost_s", batch.costs),
            ("prediction", batch.predictions),
            ("size_known", batch.known),
            ("cache_status", batch.logged),
        )
        if values is not None
    }
    if "op" in columns:
        columns["op"] = [OPS[op] for op in columns["op"]]
    if "cache_status" in columns:
        columns["cache_status"] = [LOGGED[answer] for answer in columns["cache_status"]]
    if json:
        from json import dumps

        rows = [dict(zip(columns, map(_finite, row), strict=True)) for row in zip(*columns.values(), strict=True)]
        typer.echo(dumps({"schema": 1, "rows": rows}, indent=1))
        return
    from rich.console import Console
    from rich.text import Text

    table = plain_table()
    for name in columns:
        words = name in ("op", "cache_status") or (name == "key" and isinstance(columns["key"][0], str))
        table.add_column(name, justify="left" if words else "right", overflow="fold", no_wrap=name != "key")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(_written(value)) for value in row))
    show(Console(highlight=False), table, whole=True)


def _written(value: Any) -> str:
    """Six decimals of a time at the most, without the zeros at its end."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    """None for a TTL that never ends and a prediction that is missing: JSON has no such numbers."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
