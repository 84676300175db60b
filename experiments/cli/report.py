"""``evictlab report``: one page from results, and gates for continuous integration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options as of
from .guard import GATE, say

__all__ = ["report"]


def report(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULTS", help="Files of replay --output or sweep, .parquet.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The page, .html; report.html if there is no --fail-if."),
    ] = None,
    title: Annotated[str, typer.Option(help="Of the page.")] = "Cache replay",
    baseline: Annotated[
        str | None, typer.Option(metavar="POLICY", help="Gains are measured against it; lru if there.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Exit with 3 where it holds: 'sieve.miss_ratio > lru', also a number."),
    ] = None,
    quiet: of.Quiet = False,
) -> None:
    """Write one self-contained page: tables, curves, winners per trace, gains over a baseline.

    evictlab report rows.parquet -o report.html --fail-if 'sieve.miss_ratio > 0.4'
    """
    from ..report import combine, write_report
    from ..verdict import Gate

    of.must_end_in(output, (".html", ".htm"), "--output")
    gates = [Gate.parse(text) for text in fail_if or ()]
    if gates:
        result = combine(results)
        failures = [line for gate in gates for line in gate.failures(result)]
    if output is not None or not gates:
        page = write_report(results, output or Path("report.html"), title=title, baseline=baseline)
        if not quiet:
            say(f"wrote {page}")
    if gates and failures:
        for line in failures:
            say(f"gate failed: {line}")
        raise typer.Exit(GATE)
