"""``evictlab replay``: traces against policies and sizes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...traces.errors import UsageError
from ..journal import Journal, run_key
from . import options as of
from .guard import INTERRUPTED, one_interrupt, say
from .output import write_picture, write_results
from .progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...policies.predictors import Predictor
    from ...sim.runs import Run

__all__ = ["replay"]

Rows = list[dict[str, Any]]


def replay(
    traces: of.Sources,
    policy: Annotated[
        list[str],
        typer.Option(
            "--policy",
            "-p",
            metavar="NAME,...",
            help="As in lru,arc or s3fifo:small=0.2 or adaptsize+lru or ./mine.py; see: evictlab policies.",
        ),
    ] = ["lru", "sieve", "s3fifo"],  # noqa: B006 - never changed
    size: Annotated[
        list[str],
        typer.Option("--size", "-s", metavar="SIZE,...", help="25MB, 1GiB, 5000obj, or 10% of the footprint."),
    ] = ["0.1%", "1%", "10%"],  # noqa: B006 - never changed
    predict: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHO,...",
            help="Who predicts, for policies that read predictions: pleco, noisy:p=0.05, learned; see: evictlab predictors.",
        ),
    ] = None,
    metric: Annotated[of.Metric, typer.Option("--metric", "-m", help="What the table and the picture show.")] = (
        of.Metric.requests
    ),
    ttl: Annotated[
        str | None,
        typer.Option(metavar="60s|trace", help="Lifetime of every object; trace: its own.", rich_help_panel=of.RUN),
    ] = None,
    warmup: Annotated[
        str | None,
        typer.Option(metavar="20%|10min", help="Replayed first, but not counted.", rich_help_panel=of.RUN),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="10min|1000req", help="Also count each window of this length.", rich_help_panel=of.RUN),
    ] = None,
    ignore_sizes: of.IgnoreSizes = False,
    seed: of.Seed = 0,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="0:10|0,1,2", help="Several, for policies that draw at random.", rich_help_panel=of.RUN),
    ] = None,
    threads: of.Threads = None,
    concat: of.Concat = False,
    start: of.From = None,
    stop: of.To = None,
    limit: of.Limit = None,
    split: of.Split = None,
    sample: of.Sample = None,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    no_cache: of.NoCache = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Rows as .parquet, .csv or .json.", rich_help_panel=of.OUTPUT
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip what an interrupted --output holds.", rich_help_panel=of.OUTPUT)
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Picture as .png, .svg or .pdf, its data as .csv.", rich_help_panel=of.OUTPUT
        ),
    ] = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Replay traces against policies and cache sizes: one table per trace, ratios in percent.

    evictlab replay demo

    evictlab replay web.csv 'cdn/*.zst' --policy lru,sieve --size 1%,10%,1GiB --output rows.parquet

    evictlab replay demo --policy mark0,lru --predict noisy:p=0.05 --size 1% --ignore-sizes
    """
    from .blas import postpone_scipy

    postpone_scipy()
    from ...sim.plan import states_no_ttls
    from ...sim.runs import plan_runs
    from ..sources import open_sources
    from .notes import facts, say_notes

    of.check_files(output, plot)
    if resume and output is None:
        raise UsageError("--resume needs --output: finished rows are kept beside that file")
    selection = of.selection_of(limit, start, stop, split, sample, seed)
    options = of.reader_options(reader, nginx_conf, max_bad)
    opened = open_sources(traces, selection, concat=concat, cache=not no_cache, **options)
    say_notes(opened, quiet=quiet)
    runs = plan_runs(
        opened,
        of.listed(policy),
        of.listed(size),
        seeds=[seed] if seeds is None else _seeds(seeds),
        ignore_sizes=ignore_sizes,
        ttl=ttl,
        warmup=0.0 if warmup is None else warmup,
        window=window,
        predict=_predictors(predict),
    )
    _check_metric(metric, runs)
    if not quiet:
        for trace in opened:
            if states_no_ttls(ttl, trace):
                say(f"{trace.name} states no TTLs: nothing expires")
        if sample is not None and any(not run.capacity.label.endswith("%") for run in runs):
            say(f"sizes in bytes or objects are those of the sample: nothing is scaled by {sample}")
    keys = {run_key(run): run for run in runs}  # a policy or a size that is named twice is replayed once
    with _journal(output, resume) as journal:
        finished: dict[str, Rows] = {} if journal is None else journal.finished
        whole = _replay_missing(keys, finished, journal, threads, quiet)
        rows = list(chain.from_iterable(finished[key] for key in keys if key in finished))
        if whole and (output or plot or json):
            from ...sim.result import Result

            result = Result.from_rows(rows, opened)
            if plot is not None:
                write_picture(result, metric.column, plot)
            if output is not None:
                write_results(result, output)
        if whole and journal is not None:
            journal.remove()
    if json and whole:
        typer.echo(result.to_json())
    elif not json:
        _print(rows, metric, {trace.name: facts(trace) for trace in opened}, window or "")
    if whole and not quiet:
        from .ties import say_ties

        say_ties(runs)
    if not whole:
        done = sum(key in finished for key in keys)
        kept = f"go on with: --output {output} --resume" if output else "with --output they would be kept"
        say(f"interrupted: {done} of {len(keys)} replays are finished; {kept}")
        raise typer.Exit(INTERRUPTED)


def _journal(output: Path | None, resume: bool) -> AbstractContextManager[Journal | None]:
    return nullcontext() if output is None else Journal(output, resume=resume)


def _replay_missing(
    runs: Mapping[str, Run], finished: dict[str, Rows], journal: Journal | None, threads: int | None, quiet: bool
) -> bool:
    """Add to `finished` what it lacks, and to the journal; False when interrupted."""
    from ...sim.runs import run_all

    missing = [run for key, run in runs.items() if key not in finished]
    keep = finished.__setitem__ if journal is None else journal.add
    try:
        with one_interrupt(), progress_bar(sum(len(run.trace) for run in missing), quiet=quiet) as progress:
            for run, rows in run_all(missing, threads=threads, progress=progress):
                keep(run_key(run), rows)
    except KeyboardInterrupt:
        return False
    return True


def _print(rows: Rows, metric: of.Metric, about: dict[str, str], window: str) -> None:
    from rich.console import Console

    from .table import print_results

    console = Console(highlight=False)
    print_results(console, [row for row in rows if row["window"] is None], metric, about)
    if windows := [row for row in rows if row["window"] is not None]:
        from .windows import print_windows

        print_windows(console, windows, metric, window)


def _predictors(given: list[str] | None) -> list[Predictor]:
    from ..predictions import read_predictors

    return read_predictors(of.listed(given or []))


def _seeds(text: str) -> list[int]:
    from ..sweep import parse_seeds

    return parse_seeds(text)


def _check_metric(metric: of.Metric, runs: Sequence[Run]) -> None:
    """Refuse a metric that some of the replays cannot give."""
    for run in runs:
        if metric is of.Metric.bytes and not run.capacity.byte_sizes:
            raise UsageError(
                f"--metric bytes needs a size in bytes or percent of a trace with sizes; "
                f"{run.capacity.label} of {run.trace.name} counts objects"
            )
        if metric is of.Metric.cost and run.trace.costs is None:
            raise UsageError(
                f"--metric cost needs the origin time of each request, which {run.trace.name} does not have"
            )
