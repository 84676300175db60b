"""``evictlab trace convert``: the same requests in another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ....traces.errors import UsageError
from .. import options as of
from ..guard import say
from ..notes import facts, say_notes

if TYPE_CHECKING:
    from ....traces.request import RequestTrace

__all__ = ["OutputTrace", "convert", "write"]

OutputTrace = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="A file in .parquet, .oracleGeneral, .csv or .log, the last three also .zst or .gz.",
    ),
]
"""The option of every command that writes a trace."""


def convert(
    traces: of.Sources,
    output: OutputTrace,
    start: of.From = None,
    stop: of.To = None,
    limit: of.Limit = None,
    split: of.Split = None,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    quiet: of.Quiet = False,
) -> None:
    """Write a trace in another format, several as one stream; the suffix of the output chooses it.

    evictlab trace convert web.csv -o web.oracleGeneral.zst
    """
    from ...sources import open_source, open_sources

    selection = of.selection_of(limit, start, stop, split, None, 0)
    options = of.reader_options(reader, nginx_conf, max_bad)
    if len(traces) == 1:
        trace = open_source(traces[0], selection, cache=False, **options)
    else:
        (trace,) = open_sources(traces, selection, concat=True, cache=False, **options)
    write(trace, output, quiet)


def write(trace: RequestTrace, output: str, quiet: bool) -> None:
    """Write a trace and say so.

    Raises
    ------
    UsageError
        The file is one that the trace was read from.
    TraceError
        It cannot be written; nothing is left behind.
    """
    from ....traces.write import write_trace

    if any(Path(output).resolve() == Path(source).resolve() for source in trace.provenance.sources):
        raise UsageError(f"{output} is where the trace comes from; choose another name")
    say_notes([trace], quiet=quiet)
    path = write_trace(trace, output)
    if not quiet:
        say(f"{path}: {facts(trace)}")
