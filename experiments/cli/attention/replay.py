"""``evictlab attention [TRACE]``: recorded attention against KV policies and budgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import options as of
from ..guard import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....sim.attention.result import AttentionRun
    from ....sim.attention.sweep import AttentionTable

__all__ = ["DEFAULT_POLICIES", "Protection", "replay"]

DEFAULT_POLICIES = (
    "full,window,streaming_llm,random,lru,h2o,tova,snapkv,adakv,criticalkv,defensivekv,expected_attention,keydiff,"
    "lazyeviction,belady_mass"
)
"""One or two of each family, as they were published."""

Protection = Annotated[
    str,
    typer.Option(
        metavar="sink=4,recent=16",
        help="Tokens that no policy may evict: the first, the last of the prompt (boundary=N), the newest.",
    ),
]


def replay(
    trace: Annotated[
        str,
        typer.Argument(metavar="TRACE", help="Folder of an attention trace, a .safetensors file, or 'demo'."),
    ] = "demo",
    policy: Annotated[
        list[str],
        typer.Option(
            "--policy",
            "-p",
            metavar="NAME,...",
            help="As in h2o,snapkv:window=16 or lru; see: evictlab attention policies.",
        ),
    ] = [DEFAULT_POLICIES],  # noqa: B006 - never changed
    budget: Annotated[
        list[str],
        typer.Option("--budget", "-b", metavar="N|N%,...", help="Slots per KV head, or a share of the prompt."),
    ] = ["64,128,50%"],  # noqa: B006 - never changed
    protect: Protection = "none",
    step_time: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fitted by check gpu attention: also predict what a decoding step takes.",
            rich_help_panel=of.OUTPUT,
        ),
    ] = None,
    request: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Requests of the trace, from 0; default: all.", rich_help_panel=of.PART),
    ] = None,
    seed: of.Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Rows as .parquet, .csv or .json.", rich_help_panel=of.OUTPUT
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Picture as .png, .svg or .pdf.", rich_help_panel=of.OUTPUT),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write every action log, as Parquet.", rich_help_panel=of.OUTPUT),
    ] = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Replay recorded attention against policies and budgets: what is kept, what the output loses, what it takes.

    evictlab attention

    evictlab attention trace/ --policy h2o,snapkv,oracle --budget 64,128,10% --protect sink=4,recent=16 --plot kept.png
    """
    from ....sim.attention.sweep import sweep_attention
    from ....traces.attention import open_attention
    from ..progress import progress_bar

    of.check_files(output, plot)
    opened = open_attention(trace)
    policies, budgets = of.listed(policy), of.listed(budget)
    numbers = request if request else list(range(len(opened.requests)))
    total = len(policies) * len(budgets) * len(numbers)
    with progress_bar(total, quiet=quiet, unit="replays") as progress:
        table = sweep_attention(
            opened,
            policies,
            budgets,
            protect=protect,
            seeds=[seed],
            requests=numbers,
            keep_runs=log is not None,
            measure=None if step_time is None else _step_time(step_time),
            progress=progress,
        )
    for label, reason in table.refused.items():
        say(f"{label} is left out: {reason}")
    if not quiet:
        _say_missing(table)
    if output is not None:
        table.write(output)
    if plot is not None:
        from ....sim.plot import save_figure

        save_figure(table.plot(), plot, table.frame)
    if log is not None:
        _write_logs(table, log)
    if json:
        typer.echo(table.to_json())
        return
    from rich.console import Console

    from .table import print_attention

    print_attention(Console(highlight=False), opened, table, protect)


def _step_time(path: Path) -> Callable[[AttentionRun], dict[str, float]]:
    """What adds the predicted time of a step to a row."""
    from ....sim.check.gpu.steptime import StepTime
    from ....sim.check.gpu.work import step_seconds

    times = StepTime.read(path)
    return lambda run: {"step_us": 1e6 * step_seconds(run, times)}


def _say_missing(table: AttentionTable) -> None:
    """Say whose prompt queries the trace does not hold, once."""
    short = {row["policy"]: row["missing_prompt_queries"] for row in table.rows if row["missing_prompt_queries"]}
    if short:
        lacking = ", ".join(f"{policy} ({count:,})" for policy, count in short.items())
        say(f"some of the prompt's queries that these would ask are not recorded, the others stand for them: {lacking}")


def _write_logs(table: AttentionTable, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for run in table.runs:
        words: Any = (run.request, run.policy, run.budget.replace("%", "pct"), run.setting.seed)
        name = "-".join(str(word) for word in words).replace(":", "_").replace("/", "_")
        run.log.write(folder / f"{name}.parquet")
    say(f"{len(table.runs)} action logs in {folder}")
