"""``evictlab proxy``: a trace against an NGINX that evicts from time to time, waits for an origin, and lets things expire."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...traces.errors import UsageError
from ...traces.units import parse_duration, parse_size
from . import options as of
from .guard import say
from .progress import progress_bar
from .proxy_conf import as_configured, is_given

if TYPE_CHECKING:
    from ...sim.proxy import CacheManager, ProxyTable
    from ...traces.request import RequestTrace

__all__ = ["proxy"]

CACHE, MANAGER = "What is kept (as in NGINX where left out)", "Who evicts, and when (as in NGINX where left out)"
TIME = "What takes time"
"""Headings in the help."""


def proxy(
    context: typer.Context,
    traces: of.Parts,
    policy: Annotated[
        list[str], typer.Option("--policy", "-p", metavar="NAME,...", help="Whom to evict; see: evictlab policies.")
    ] = ["lru"],  # noqa: B006 - never changed
    size: Annotated[
        list[str], typer.Option("--size", "-s", metavar="SIZE,...", help="max_size: 25MB, 1GiB, 5000obj, or 10%.")
    ] = ["10%"],  # noqa: B006 - never changed
    interval: Annotated[
        str,
        typer.Option(
            "--manager-interval",
            metavar="10s|sync",
            help="Its longest sleep; sync: no manager.",
            rich_help_panel=MANAGER,
        ),
    ] = "10s",
    files: Annotated[
        int, typer.Option("--manager-files", metavar="N", min=1, help="Deletions in one go.", rich_help_panel=MANAGER)
    ] = 100,
    threshold: Annotated[
        str, typer.Option("--manager-threshold", metavar="200ms", help="Time of one go.", rich_help_panel=MANAGER)
    ] = "200ms",
    sleep: Annotated[
        str, typer.Option("--manager-sleep", metavar="50ms", help="Sleep between two goes.", rich_help_panel=MANAGER)
    ] = "50ms",
    first_wake: Annotated[
        str, typer.Option(metavar="0s", help="When it wakes up, after the first request.", rich_help_panel=MANAGER)
    ] = "0s",
    delete_time: Annotated[
        str, typer.Option(metavar="0s", help="What a deletion takes.", rich_help_panel=MANAGER)
    ] = "0s",
    inactive: Annotated[
        str, typer.Option(metavar="10min", help="What nobody asks for so long leaves.", rich_help_panel=MANAGER)
    ] = "10min",
    decision_latency: Annotated[
        str | None,
        typer.Option(metavar="100us|lognormal:...", help="What asking the policy takes.", rich_help_panel=MANAGER),
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(metavar="500us", help="Then NGINX's own queue decides.", rich_help_panel=MANAGER)
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="60s|trace", help="Lifetime of every object; trace: its own.", rich_help_panel=CACHE),
    ] = None,
    whole_seconds: Annotated[
        bool, typer.Option("--whole-seconds/--exact-seconds", help="How lifetimes run out.", rich_help_panel=CACHE)
    ] = True,
    lock: Annotated[
        bool, typer.Option("--lock/--no-lock", help="Misses of one object wait for the first.", rich_help_panel=CACHE)
    ] = False,
    revalidate: Annotated[
        bool, typer.Option("--revalidate", help="Ask whether what has expired has changed.", rich_help_panel=CACHE)
    ] = False,
    stale: Annotated[
        bool,
        typer.Option(
            "--stale-while-revalidate",
            help="Answer with what has expired, refresh it meanwhile.",
            rich_help_panel=CACHE,
        ),
    ] = False,
    min_uses: Annotated[
        int, typer.Option(metavar="N", min=1, help="The Nth request stores the object.", rich_help_panel=CACHE)
    ] = 1,
    block: Annotated[
        str, typer.Option(metavar="4KiB|none", help="Objects take whole blocks.", rich_help_panel=CACHE)
    ] = "4KiB",
    keys_zone: Annotated[
        str | None,
        typer.Option(metavar="10MiB", help="Room for keys, 8,100 per MiB; default: enough.", rich_help_panel=CACHE),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, help="Event loops that serve requests.", rich_help_panel=TIME)
    ] = 1,
    service: Annotated[
        str, typer.Option(metavar="50us", help="CPU time of each request.", rich_help_panel=TIME)
    ] = "0s",
    connections: Annotated[
        int | None,
        typer.Option("--worker-connections", metavar="N", min=1, help="Open at a time.", rich_help_panel=TIME),
    ] = None,
    origin_rtt: Annotated[
        str | None,
        typer.Option(
            metavar="50ms|trace|...",
            help="Time at the origin, also 50ms+50MB/s or lognormal:median=50ms:sigma=0.5; default: the trace's, or none.",
            rich_help_panel=TIME,
        ),
    ] = None,
    origin_concurrency: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Fetches at a time.", rich_help_panel=TIME)
    ] = None,
    client_rate: Annotated[
        str | None, typer.Option(metavar="10MB/s", help="How fast clients are.", rich_help_panel=TIME)
    ] = None,
    speed: Annotated[
        float | None, typer.Option(metavar="10", help="Requests come so many times as fast.", rich_help_panel=TIME)
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="500/s", help="They come evenly, at this rate.", rich_help_panel=TIME)
    ] = None,
    seed: of.Seed = 0,
    concat: of.Concat = False,
    start: of.From = None,
    stop: of.To = None,
    limit: of.Limit = None,
    split: of.Split = None,
    sample: of.Sample = None,
    reader: of.Reader = None,
    nginx_conf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="nginx.conf: of the log, and of the cache where no option says otherwise.",
            rich_help_panel=of.PART,
        ),
    ] = None,
    max_bad: of.MaxBad = None,
    no_cache: of.NoCache = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Rows as .parquet, .csv or .json.", rich_help_panel=of.OUTPUT
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Picture as .png, .svg or .pdf, rows as .csv.", rich_help_panel=of.OUTPUT),
    ] = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Run a trace through a caching proxy that works as NGINX does: who waits, how long, and how large the cache gets.

    evictlab proxy access.log --size 25MB --policy lru,gdsf --manager-interval 10s --origin-rtt 50ms

    evictlab proxy web.csv --size 1GiB --manager-interval sync --lock --ttl 60s --stale-while-revalidate
    """
    from .blas import postpone_scipy

    postpone_scipy()
    from ...sim.proxy import ProxyConfig, keys_zone_nodes, sweep_proxy
    from ...sim.proxy.origin import parse_rate
    from ..sources import open_sources
    from .notes import say_notes

    of.check_files(output, plot)
    sizes = of.listed(size)
    if not sizes:
        raise UsageError("--size names no size; write it as 25MB or 10%")
    config = ProxyConfig(
        sizes[0],
        _manager(interval, files, threshold, sleep, first_wake, delete_time),
        inactive_s=parse_duration(inactive),
        keys_zone_nodes=None if keys_zone is None else keys_zone_nodes(keys_zone),
        block_bytes=_block(block),
        min_uses=min_uses,
        lock=lock,
        ttl=ttl,
        whole_seconds=whole_seconds,
        revalidate=revalidate,
        use_stale_updating=stale,
        background_update=stale,
        origin=origin_rtt,
        origin_concurrency=origin_concurrency,
        workers=workers,
        service_s=parse_duration(service),
        worker_connections=connections,
        client_bytes_per_s=None if client_rate is None else parse_rate(client_rate),
        speed=speed,
        rate_per_s=None if rate is None else of.rate_per_s(rate),
        decision_latency=decision_latency,
        deadline_s=None if deadline is None else parse_duration(deadline),
    )
    selection = of.selection_of(limit, start, stop, split, sample, seed)
    options = of.reader_options(reader, nginx_conf, max_bad)
    if nginx_conf is not None:
        config = as_configured(config, nginx_conf, options, context)
        sizes = sizes if is_given(context, "size") else [config.size]
    opened = open_sources(traces, selection, concat=concat, cache=not no_cache, **options)
    if len(opened) > 1:
        raise UsageError(f"{len(opened)} traces are named; join their files into one stream (--concat), or name one")
    say_notes(opened, quiet=quiet)
    if not quiet:
        _say_what_is_missing(opened[0], origin_rtt, ttl or config.ttl)
    names = of.listed(policy)
    with progress_bar(len(opened[0]) * len(names) * len(sizes), quiet=quiet) as progress:
        table = sweep_proxy(opened[0], names, config, sizes, seed=seed, progress=progress)
    if output is not None:
        table.write(output)
    if plot is not None:
        from ...sim.plot import save_figure

        save_figure(table.plot(), plot, table.frame)
    if json:
        typer.echo(table.to_json())
    else:
        _print(opened[0], table)


def _manager(
    interval: str, files: int, threshold: str, sleep: str, first_wake: str, delete_time: str
) -> CacheManager | None:
    from ...sim.proxy import SYNC, CacheManager

    times = [parse_duration(text) for text in (threshold, sleep, delete_time, first_wake)]
    given = CacheManager(CacheManager.interval_s, files, *times)
    if interval.strip() != "sync":
        return CacheManager(parse_duration(interval), files, *times)
    if given != CacheManager():
        raise UsageError(
            "with --manager-interval sync there is no manager: leave out how it works, or give an interval"
        )
    return SYNC


def _block(text: str) -> int:
    if text.strip() == "none":
        return 0
    block = parse_size(text)
    if block.kind != "bytes":
        raise UsageError(f"--block {text!r} is no number of bytes; write it as 4KiB, or none")
    return int(block.value)


def _say_what_is_missing(trace: RequestTrace, origin: str | None, ttl: str | None) -> None:
    if origin is None and trace.costs is None:
        say(f"{trace.name} does not say how long the origin took: it answers at once. Give it: --origin-rtt 50ms")
    if ttl == "trace" and trace.ttls is None:
        say(f"{trace.name} states no TTLs: nothing expires")


def _print(trace: RequestTrace, table: ProxyTable) -> None:
    from rich.console import Console

    from .notes import facts
    from .proxy_table import print_proxies

    print_proxies(Console(highlight=False), trace.name, facts(trace), table.results)
