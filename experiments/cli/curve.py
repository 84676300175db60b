"""``evictlab curve``: the miss ratio at every size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...traces.errors import UsageError
from ...traces.units import format_bytes, format_count
from . import options as of
from .guard import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ...sim.curves import Curve
    from ...traces.request import RequestTrace

__all__ = ["curve"]

LEAST_SHARE = 0.001
"""Where the table begins, as a share of the footprint."""

BAR = 30
"""Columns of a full bar."""


def curve(
    traces: of.Parts,
    policy: Annotated[
        list[str], typer.Option("--policy", "-p", metavar="NAME,...", help="lru is exact; others run in miniature.")
    ] = ["lru"],  # noqa: B006 - never changed
    size: Annotated[
        list[str] | None, typer.Option("--size", "-s", metavar="SIZE,...", help="These sizes only: 1GiB, 5000obj, 10%.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(metavar="1%|fixed-size:8192", help="Follow this share of the objects, or so many (SHARDS)."),
    ] = None,
    points: Annotated[int, typer.Option(metavar="N", min=2, help="Sizes in the table and in --json.")] = 20,
    metric: Annotated[of.Metric, typer.Option("--metric", "-m", help="requests or bytes.")] = of.Metric.requests,
    warmup: Annotated[
        str | None, typer.Option(metavar="20%|10min", help="Not counted at the start.", rich_help_panel=of.RUN)
    ] = None,
    ignore_sizes: of.IgnoreSizes = False,
    seed: of.Seed = 0,
    threads: of.Threads = None,
    start: of.From = None,
    stop: of.To = None,
    limit: of.Limit = None,
    split: of.Split = None,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    no_cache: of.NoCache = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="All sizes as .parquet, .csv or .json.", rich_help_panel=of.OUTPUT
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Picture as .png, .svg or .pdf, its data as .csv.", rich_help_panel=of.OUTPUT
        ),
    ] = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Miss-ratio curve of a trace: exact for LRU at all sizes in one pass, sampled, or by miniature simulation.

    evictlab curve big.parquet --sample 1%
    """
    from .blas import postpone_scipy

    postpone_scipy()
    from ...sim.curves import curve as curve_of
    from ...sim.plan import capacity_of
    from ..sources import open_one
    from .notes import facts, say_notes

    of.check_files(output, plot)
    if metric is of.Metric.cost:
        raise UsageError("a curve counts requests or bytes; for costs, replay the sizes: evictlab replay --metric cost")
    selection = of.selection_of(limit, start, stop, split, None, 0)
    opened = open_one(traces, selection, cache=not no_cache, **of.reader_options(reader, nginx_conf, max_bad))
    say_notes([opened], quiet=quiet)
    asked = of.listed(size or [])
    sizes = asked or _even_sizes(points)
    amounts = [capacity_of(words, opened, ignore_sizes=ignore_sizes).amount for words in sizes]
    curves = [
        curve_of(
            opened,
            name,
            _sample(sample) if sample else None,
            None if name == "lru" and not asked else sizes,  # one pass gives all sizes of LRU, for --output and --plot
            seed=seed,
            warmup=warmup or 0.0,
            ignore_sizes=ignore_sizes,
            threads=threads,
        )
        for name in of.listed(policy)
    ]
    for note in dict.fromkeys(note for found in curves for note in found.notes):
        if not quiet:
            say(f"{opened.name}: {note}")
    shown = [found.only(amounts) for found in curves]
    values = [found.values(metric.column) for found in shown]
    if output is not None:
        _write(curves, opened, output)
    if plot is not None:
        from ...sim.curves import plot_curves
        from ...sim.plot import save_figure

        save_figure(plot_curves(curves, metric.column), plot, _frame(curves))
    if json:
        typer.echo(_document(shown, opened))
    else:
        _print(f"{opened.name}  {facts(opened)}", opened, shown, values, metric)


def _sample(text: str) -> float | str:
    return text if text.startswith("fixed-size:") else of.share_of(text, "sample")


def _even_sizes(count: int) -> list[str]:
    """Sizes evenly spaced on the logarithmic axis, up to the footprint."""
    return [f"{100 * LEAST_SHARE ** (1 - k / (count - 1)):.4g}%" for k in range(count)]


def _print(title: str, trace: RequestTrace, curves: Sequence[Curve], values: Sequence[Any], metric: of.Metric) -> None:
    """A line per size: what it is of the footprint, the ratio of each policy and, for one, a bar."""
    from rich.console import Console
    from rich.text import Text

    from .table import TITLES, print_table

    console = Console(highlight=False)
    console.print(Text.assemble((trace.name, "bold"), title.removeprefix(trace.name)))
    how = "; ".join(f"{c.policy} {'exact' if c.exact else f'{c.method} at {100 * c.rate:.3g}%'}" for c in curves)
    console.print(Text(f"{TITLES[metric.value]}; {how}", style="dim"))
    first = curves[0]
    in_bytes = first.unit == "bytes"
    capacities = first.capacities.tolist()
    footprint = trace.footprint_bytes if in_bytes else trace.n_objects
    assert footprint is not None
    written = [format_bytes(c) if in_bytes else f"{format_count(c)} obj" for c in capacities]
    columns = [(["of all"], [Text(f"{100 * c / footprint:.3g}%") for c in capacities])]
    for found, ratios in zip(curves, values, strict=True):
        columns.append(([found.policy], [Text(f"{100 * ratio:.2f}") for ratio in ratios]))
    if len(curves) == 1:
        bar = "█" if console.encoding.lower().startswith("utf") else "#"
        columns.append(([""], [Text(bar * round(BAR * ratio)) for ratio in values[0]]))
    print_table(console, (["size"], [Text(words) for words in written]), columns, last_left=len(curves) == 1)


def _frame(curves: Sequence[Curve]) -> pd.DataFrame:
    import pandas as pd

    frame: pd.DataFrame = pd.concat([found.to_frame() for found in curves], ignore_index=True)
    return frame


def _document(curves: Sequence[Curve], trace: RequestTrace) -> str:
    """The rows as one JSON document, in the shape of that of a replay."""
    from json import dumps

    frame = _frame(curves).astype(object)
    rows = frame.where(frame.notna(), None).to_dict("records")
    provenance = trace.provenance.to_dict() | {"sha256": trace.provenance.sha256}
    return dumps({"schema": 1, "rows": rows, "traces": {trace.name: provenance}}, indent=1)


def _write(curves: Sequence[Curve], trace: RequestTrace, path: Path) -> None:
    """Write all points as the suffix says, whole or not at all."""
    from ...sim.files import write_whole

    suffix = path.suffix.lower()
    if suffix == ".json":
        document = _document(curves, trace)
        write_whole(path, lambda part: part.write_text(document + "\n", encoding="utf-8"))
        return
    frame = _frame(curves)
    write_whole(path, lambda part: frame.to_csv(part, index=False) if suffix == ".csv" else frame.to_parquet(part))
