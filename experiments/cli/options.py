"""Options that several commands share, and how their words become values."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...traces.errors import UsageError

if TYPE_CHECKING:
    from ...traces.selection import Selection

__all__ = [
    "OUTPUT",
    "RUN",
    "Concat",
    "From",
    "IgnoreSizes",
    "Json",
    "Limit",
    "MaxBad",
    "Metric",
    "NginxConf",
    "NoCache",
    "Parts",
    "Quiet",
    "Reader",
    "Sample",
    "Seed",
    "Source",
    "Sources",
    "Split",
    "Threads",
    "To",
    "check_files",
    "listed",
    "must_end_in",
    "rate_per_s",
    "reader_options",
    "selection_of",
    "share_of",
]

PICTURES = (".png", ".svg", ".pdf")
"""Suffixes that a picture may have."""

TABLES = (".parquet", ".csv", ".json")
"""Suffixes that a file of results may have."""


class Metric(StrEnum):
    """What is counted; the value is the word on the command line."""

    requests = "requests"
    bytes = "bytes"
    cost = "cost"

    @property
    def column(self) -> str:
        """The column of the table of results."""
        return {"requests": "miss_ratio", "bytes": "byte_miss_ratio", "cost": "cost_miss_ratio"}[self.value]


TRACE_HELP = (
    "A file, 'format:path' where the format is not to be guessed, a quoted pattern ('logs/*.csv'), "
    "a generator ('zipf:requests=1e6,objects=1e5'), or 'demo'."
)

PART, RUN, OUTPUT = "Which part of a trace", "How it is replayed", "What comes out"
"""Headings in the help."""

Sources = Annotated[list[str], typer.Argument(metavar="TRACE", help=f"{TRACE_HELP} Several are separate traces.")]
Parts = Annotated[
    list[str], typer.Argument(metavar="TRACE", help=f"{TRACE_HELP} Several are the files of one access log.")
]
Source = Annotated[str, typer.Argument(metavar="TRACE", help=TRACE_HELP)]
Reader = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Of the format, as in key=url; see: evictlab trace formats.", rich_help_panel=PART
    ),
]
NginxConf = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="nginx.conf of an access log: its log_format, cache key and lifetimes.",
        rich_help_panel=PART,
    ),
]
MaxBad = Annotated[
    str | None,
    typer.Option(metavar="1%", help="Share of unreadable records that is let pass.", rich_help_panel=PART),
]
Concat = Annotated[
    bool, typer.Option("--concat", help="Take all files as one stream, in the order given.", rich_help_panel=PART)
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="10min", help="Requests from then on, after the first.", rich_help_panel=PART),
]
To = Annotated[str | None, typer.Option("--to", metavar="2h", help="Requests before then.", rich_help_panel=PART)]
Limit = Annotated[int | None, typer.Option(metavar="N", help="The first N requests.", rich_help_panel=PART)]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="4KiB", help="Block traces: a request per block of this size that one touches.", rich_help_panel=PART
    ),
]
Sample = Annotated[
    str | None, typer.Option(metavar="1%", help="All requests for this share of the objects.", rich_help_panel=PART)
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Read the files anew and keep nothing for next time.", rich_help_panel=PART)
]
IgnoreSizes = Annotated[
    bool, typer.Option("--ignore-sizes", help="Charge every object 1, whatever the trace says.", rich_help_panel=RUN)
]
Seed = Annotated[
    int,
    typer.Option(metavar="N", min=0, help="Of all that is drawn at random.", show_default=True, rich_help_panel=RUN),
]
Threads = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Replays at a time; default: one per core.", rich_help_panel=RUN)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress bar and no notes on stderr.", rich_help_panel=OUTPUT)
]


def listed(given: list[str]) -> list[str]:
    """Split each at commas: ``["lru,sieve", "arc"]`` is three names."""
    return [part.strip() for text in given for part in text.split(",") if part.strip()]


def share_of(text: str, what: str) -> float:
    """Read ``1%`` as 0.01.

    Raises
    ------
    UsageError
        No percentage, or none above 0 % and up to 100 %.
    """
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / 100
    except ValueError:
        share = 0.0
    if not percent or rest or not 0 < share <= 1:
        raise UsageError(f"{what} {text!r} is not a percentage above 0% and up to 100%; write it as 1%")
    return share


def rate_per_s(text: str) -> float:
    """Read ``500/s`` as 500.

    Raises
    ------
    UsageError
        No number of requests per second, or none above 0.
    """
    number, slash, unit = text.strip().partition("/")
    try:
        rate = float(number)
    except ValueError:
        rate = 0.0
    if not slash or unit.strip() != "s" or not 0 < rate < float("inf"):
        raise UsageError(f"--rate {text!r} is no number of requests per second; write it as 500/s")
    return rate


def selection_of(
    limit: int | None, start: str | None, stop: str | None, split: str | None, sample: str | None, seed: int
) -> Selection:
    """Put the options that choose a part of a trace together.

    Raises
    ------
    UsageError
        A word that cannot be read, or a part that would be empty.
    """
    from ...traces.selection import Selection
    from ...traces.units import parse_duration, parse_size

    block = None if split is None else parse_size(split)
    if block is not None and block.kind != "bytes":
        raise UsageError(f"--split {split!r} is no number of bytes; write it as 4KiB")
    return Selection(
        limit=limit,
        start_s=None if start is None else parse_duration(start),
        stop_s=None if stop is None else parse_duration(stop),
        split_bytes=None if block is None else int(block.value),
        sample=None if sample is None else share_of(sample, "sample"),
        seed=seed if sample is not None else 0,
    )


def reader_options(
    given: list[str] | None, nginx_conf: Path | None = None, max_bad: str | None = None
) -> dict[str, str]:
    """Read ``["key=url", "time=none"]``, and add the options of a reader that have a name of their own.

    Raises
    ------
    UsageError
        Not of the form NAME=VALUE.
    """
    options = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--reader {text!r} is not of the form NAME=VALUE, as in key=url")
        options[name.strip()] = value.strip()
    if nginx_conf is not None:
        options["conf"] = str(nginx_conf)
    if max_bad is not None:
        options["max_bad"] = max_bad
    return options


def check_files(output: Path | None, plot: Path | None) -> None:
    """Refuse files of results and pictures that could not be written, before work begins.

    Raises
    ------
    UsageError
    """
    must_end_in(output, TABLES, "--output")
    must_end_in(plot, PICTURES, "--plot")
    if output is not None and plot is not None and plot.with_suffix(".csv") == output:
        raise UsageError(f"--plot {plot} writes its data to {output} too; choose another name for one of them")


def must_end_in(path: Path | None, suffixes: tuple[str, ...], option: str) -> None:
    """Refuse a file to be written that has none of `suffixes`, or whose folder does not exist, before work begins.

    Raises
    ------
    UsageError
    """
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{option} {path}: the name must end in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {str(path.parent)!r}")
