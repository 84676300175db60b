"""``evictlab trace record nginx``: send a trace through the real thing and write down what it answered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ....traces.errors import UsageError
from .. import options as of
from ..guard import say
from ..table import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ....traces.record.nginx.recording import Recording
    from ....traces.request import RequestTrace

__all__ = ["record"]

CACHE, DRIVER = "How the real cache is set", "How requests are sent"


def record(
    trace: of.Source,
    output: Annotated[
        str,
        typer.Option("--output", "--out", "-o", metavar="FILE", help="A file in .parquet, .oracleGeneral or .csv."),
    ],
    size: Annotated[
        str, typer.Option(metavar="25MB", help="max_size, or a part of the footprint.", rich_help_panel=CACHE)
    ] = "10%",
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="1000/s|trace",
            help="Requests per second, or at the trace's times; default: as soon as answered.",
            rich_help_panel=DRIVER,
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option(metavar="X", help="The trace's times pass X times faster.", rich_help_panel=DRIVER)
    ] = 1.0,
    connections: Annotated[int, typer.Option(metavar="N", min=1, help="Kept alive.", rich_help_panel=DRIVER)] = 8,
    delay: Annotated[
        str,
        typer.Option(metavar="20ms|trace", help="How long the origin waits; trace: its costs.", rich_help_panel=DRIVER),
    ] = "0s",
    manager_interval: Annotated[
        str,
        typer.Option(
            metavar="stock|50ms", help="How often the cache manager looks; stock: up to 10 s.", rich_help_panel=CACHE
        ),
    ] = "stock",
    ttl: Annotated[str, typer.Option(metavar="1d", help="proxy_cache_valid.", rich_help_panel=CACHE)] = "1d",
    inactive: Annotated[str, typer.Option(metavar="1d", help="inactive.", rich_help_panel=CACHE)] = "1d",
    min_uses: Annotated[int, typer.Option(metavar="N", min=1, help="Of an object.", rich_help_panel=CACHE)] = 1,
    lock: Annotated[
        bool, typer.Option("--lock", help="One fetch at a time per object.", rich_help_panel=CACHE)
    ] = False,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes.", rich_help_panel=CACHE)] = 1,
    limit: of.Limit = None,
    reader: of.Reader = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep NGINX's own log.", rich_help_panel=of.OUTPUT)
    ] = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Start a real NGINX, send a trace through it over HTTP, and write the trace with its answers.

    evictlab trace record nginx demo --limit 5000 --size 25MB --rate 500/s -o real.parquet
    """
    from ....traces.record.nginx import RealConfig
    from ....traces.record.nginx import record as record_nginx
    from ....traces.units import parse_duration
    from ....traces.write import write_trace
    from ...sources import open_source
    from ..notes import facts
    from ..progress import progress_bar

    _check_output(output, log)
    opened = open_source(
        trace, of.selection_of(limit, None, None, None, None, 0), cache=True, **of.reader_options(reader)
    )
    config = RealConfig(
        max_size_bytes=_bytes_of(size, opened),
        ttl_s=_whole_seconds("ttl", ttl),
        inactive_s=_whole_seconds("inactive", inactive),
        manager_interval_s=None if manager_interval == "stock" else parse_duration(manager_interval),
        lock=lock,
        min_uses=min_uses,
        workers=workers,
    )
    with progress_bar(len(opened), quiet=quiet) as bar:
        recording = record_nginx(
            opened,
            config,
            rate_per_s=rate if rate is None or rate == "trace" else of.rate_per_s(rate),
            speed=speed,
            connections=connections,
            delay_s="trace" if delay == "trace" else parse_duration(delay),
            access_log=log,
            progress=bar,
        )
    recorded = recording.trace()
    path = write_trace(recorded, output)
    if not quiet:
        for note in recorded.provenance.account.notes:
            say(f"{recorded.name}: {note}")
        say(f"{path}: {facts(recorded)}")
    _print(recording, json)


def _check_output(output: str, log: Path | None) -> None:
    """Refuse, before NGINX is started, what could not be written after the run."""
    from ....traces.write import SUFFIXES, WRITERS

    prefix, _, rest = output.partition(":")
    named = prefix.replace("-", "_") in WRITERS
    path = Path(rest if named else output)
    if not named and not any(suffix.lower() in SUFFIXES for suffix in path.suffixes):
        raise UsageError(f"--output {output}: in which format? Known suffixes: {', '.join(SUFFIXES)}")
    for option, file in (("--output", path), ("--log", log)):
        if file is not None and not file.parent.is_dir():
            raise UsageError(f"{option} {file}: there is no folder {str(file.parent)!r}")


def _bytes_of(size: str, trace: RequestTrace) -> int:
    from ....traces.units import parse_size

    parsed = parse_size(size)
    if parsed.kind == "objects":
        raise UsageError(f"--size {size}: NGINX counts bytes, not objects; write it as 25MB")
    if parsed.kind == "bytes":
        return int(parsed.value)
    return max(1, round(parsed.value * (trace.footprint_bytes or 0)))


def _whole_seconds(option: str, text: str) -> int:
    from ....traces.units import parse_duration

    seconds = parse_duration(text)
    if seconds < 1 or seconds != int(seconds):
        raise UsageError(f"--{option} {text}: NGINX counts whole seconds from 1s")
    return int(seconds)


def _print(recording: Recording, as_json: bool) -> None:
    if as_json:
        from json import dumps

        typer.echo(dumps({"schema": 1, "recording": _record(recording)}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(recording.version, style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, words in _lines(recording):
        table.add_row(label, Text(words))
    show(console, table, whole=True)


def _lines(recording: Recording) -> Iterator[tuple[str, str]]:
    from ....traces.units import format_bytes, format_duration

    seconds = recording.duration_s
    rate = int(recording.answered.sum()) / seconds if seconds else 0.0
    yield "requests", f"{int(recording.answered.sum()):,} in {format_duration(seconds)}, {rate:,.0f}/s"
    answers = ", ".join(f"{word or 'none'} {count:,}" for word, count in recording.counts.items())
    yield "hit ratio", f"{100 * recording.hit_ratio:.2f}%  ({answers})"
    final, peak = format_bytes(recording.final_bytes), format_bytes(recording.peak_bytes)
    yield "on disk", f"{final} at the end, at most {peak}, of {format_bytes(recording.config.max_size_bytes)} allowed"
    if (late := recording.lateness) is not None:
        words = (f"{name} {format_duration(value)}" for name, value in zip(_LATE, _values(late), strict=True))
        yield "sent late", ", ".join(words) + ("" if recording.punctual else ": too late to be trusted")
    if recording.failed:
        yield "failed", f"{len(recording.failed):,} requests, the first: {recording.failed[0][1]}"
    for line in recording.warnings[:5]:
        yield "warning", line


_LATE = ("median", "99%", "most")


def _values(late: Any) -> tuple[float, float, float]:
    return late.p50_s, late.p99_s, late.max_s


def _record(recording: Recording) -> dict[str, Any]:
    late = recording.lateness
    return {
        "version": recording.version,
        "requests": len(recording.source),
        "answered": int(recording.answered.sum()),
        "hit_ratio": recording.hit_ratio,
        "counts": recording.counts,
        "duration_s": recording.duration_s,
        "max_size_bytes": recording.config.max_size_bytes,
        "final_bytes": recording.final_bytes,
        "peak_bytes": recording.peak_bytes,
        "block_bytes": recording.block_bytes,
        "manager_start_s": recording.manager_start_s,
        "late_s": None if late is None else dict(zip(("p50", "p99", "max"), _values(late), strict=True)),
        "punctual": recording.punctual,
        "failed": len(recording.failed),
        "warnings": list(recording.warnings),
        "conf": recording.conf,
    }
