"""``evictlab sweep``: all combinations that a TOML file names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as of
from .guard import INTERRUPTED, one_interrupt, say
from .progress import progress_bar

if TYPE_CHECKING:
    from rich.console import Console

    from ...sim.runs import Run

__all__ = ["sweep"]

REQUESTS_PER_S = 3e7
"""What one core replays, roughly; policies differ by a factor of ten."""


class Place(StrEnum):
    """Where replays run."""

    local = "local"
    ray = "ray"


def sweep(
    grid: Annotated[Path, typer.Argument(metavar="GRID.toml", help="Traces, policies, sizes, seeds.")],
    on: Annotated[Place, typer.Option(help="Threads here, or a Ray cluster (RAY_ADDRESS).")] = Place.local,
    resume: Annotated[bool, typer.Option("--resume", help="Skip what an interrupted attempt has finished.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and how long it may take.")
    ] = False,
    metric: Annotated[of.Metric, typer.Option("--metric", "-m", help="What the table shows.")] = of.Metric.requests,
    threads: of.Threads = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Instead of the grid's, .parquet.", rich_help_panel=of.OUTPUT
        ),
    ] = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    r"""Replay every trace against every policy, size and seed of a grid; rows are kept as they finish.

    The lines of a grid, for example:

    traces = \["web/*.zst", "zipf:requests=1e6,objects=1e5"]

    policies = \["lru", "s3fifo:small=0.2", "adaptsize+lru"]

    sizes = \["0.1%", "1%", "10%"]

    seeds = "0:5"

    output = "sweep.parquet"

    and, if need be, warmup, window and ttl as in replay, ignore_sizes = true, and reader = {conf = "nginx.conf"}.
    """
    from rich.console import Console

    from .blas import postpone_scipy

    postpone_scipy()
    of.must_end_in(output, (".parquet",), "--output")
    console = Console(highlight=False)
    if dry_run:
        from ..sweep import Grid, plan_sweep

        _print_plan(console, plan_sweep(Grid.read(grid), grid.parent)[1], threads)
        return
    from ..sweep import run_sweep

    try:
        with one_interrupt(), progress_bar(quiet=quiet) as bar:
            result = run_sweep(
                grid,
                on=on.value,
                resume=resume,
                output=output,
                progress=bar,
                planned=None if bar is None else lambda runs: bar.expect(sum(len(run.trace) for run in runs)),
                threads=threads,
            )
    except KeyboardInterrupt:
        say(f"interrupted; finished replays are kept; go on with: evictlab sweep {grid} --resume")
        raise typer.Exit(INTERRUPTED) from None
    document = result.to_json()
    if json:
        typer.echo(document)
    else:
        from json import loads

        from .table import print_results

        print_results(console, loads(document)["rows"], metric)


def _print_plan(console: Console, runs: list[Run], threads: int | None) -> None:
    """What the sweep consists of, per trace, and how long that may take."""
    import os

    from rich.text import Text

    from ...traces.units import format_count, format_duration
    from .notes import facts
    from .table import size_words

    for trace in dict.fromkeys(run.trace for run in runs):
        mine = [run for run in runs if run.trace is trace]
        console.print(Text.assemble((trace.name, "bold"), f"  {facts(trace)}"))
        sizes = dict.fromkeys(
            " = ".join(size_words((c.label, c.amount if c.byte_sizes else None, None if c.byte_sizes else c.amount)))
            for c in (run.capacity for run in mine)
        )
        console.print(Text(f"  sizes     {', '.join(sizes)}"))
        console.print(Text(f"  policies  {', '.join(dict.fromkeys(run.policy.label for run in mine))}"))
        console.print(Text(f"  replays   {len(mine):,}"))
    requests = sum(len(run.trace) for run in runs)
    cores = min(threads or os.cpu_count() or 1, len(runs))
    guess = format_duration(requests / REQUESTS_PER_S / cores)
    console.print(
        f"{len(runs):,} replays of {format_count(requests)} requests in all, "
        f"about {guess} on {cores} cores at {format_count(REQUESTS_PER_S)} requests/s each"
    )
