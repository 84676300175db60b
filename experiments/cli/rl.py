"""``evictlab rl ...``: train an eviction policy on logs, judge it on others, pack it up for a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...traces.errors import UsageError
from . import options as of
from .guard import say

if TYPE_CHECKING:
    pass

__all__ = ["commands"]

LEARN = "How it learns"

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder of a trained model, or trap: the one that comes along.")
]
Ttl = Annotated[
    str | None,
    typer.Option(metavar="trace|60s", help="Let objects expire: by the trace, or all alike.", rich_help_panel=of.RUN),
]


def train(
    sources: of.Sources,
    size: Annotated[list[str], typer.Option("--size", "-s", metavar="SIZE,...", help="Capacities, as in 25MB,10%.")],
    output: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the model goes.")],
    k: Annotated[
        int, typer.Option("--k", metavar="K", help="Candidates of a decision, up to 64.", rich_help_panel=LEARN)
    ] = 64,
    tail: Annotated[
        int,
        typer.Option(
            metavar="N", help="So many are those not asked for longest; the others are drawn.", rich_help_panel=LEARN
        ),
    ] = 8,
    network: Annotated[
        str,
        typer.Option(
            metavar="set|flat", help="set: the same weights for each; flat: as in the paper.", rich_help_panel=LEARN
        ),
    ] = "set",
    hidden: Annotated[
        int | None, typer.Option(metavar="N", min=4, help="Width of the network.", rich_help_panel=LEARN)
    ] = None,
    features: Annotated[
        str, typer.Option(metavar="all|paper|NAME,...", help="What it may look at.", rich_help_panel=LEARN)
    ] = "all",
    reward: Annotated[
        str, typer.Option(metavar="bounded|paper|hits", help="What counts as success.", rich_help_panel=LEARN)
    ] = "bounded",
    hindsight: Annotated[
        bool,
        typer.Option(
            "--hindsight/--no-hindsight", help="Learn from all candidates, or victims only.", rich_help_panel=LEARN
        ),
    ] = True,
    horizon: Annotated[
        int | None,
        typer.Option(
            metavar="REQUESTS", min=1, help="How far ahead hits count; default: by the log.", rich_help_panel=LEARN
        ),
    ] = None,
    warm_start: Annotated[
        int, typer.Option(metavar="N", min=0, help="Decisions of others to begin with.", rich_help_panel=LEARN)
    ] = 20_000,
    fit_steps: Annotated[
        int, typer.Option(metavar="N", min=1, help="Gradient steps in each of its two rounds.", rich_help_panel=LEARN)
    ] = 4_000,
    decisions: Annotated[
        int, typer.Option(metavar="N", min=0, help="Decisions of its own.", rich_help_panel=LEARN)
    ] = 100_000,
    ttl: Ttl = None,
    seed: of.Seed = 0,
    anew: Annotated[bool, typer.Option("--anew", help="Forget an earlier training in the folder.")] = False,
    limit: of.Limit = None,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Learn whom to evict by replaying logs, and write the model that does best on what was held back.

    Of several logs every fourth is held back to judge by; of a single one, the part from 70 % to 85 %, and the last 15 %
    are left for `evictlab rl evaluate`. The folder also holds TensorBoard's files; a training that was stopped goes on
    where it was.

    evictlab rl train access.log --size 25MB --out model/

    evictlab rl train trap:seed=1000 trap:seed=1001 trap:seed=1002 trap:seed=1003 --ttl trace --size 25MiB --out model/
    """
    from ..sources import open_sources
    from ..stamp import stamp

    options: dict[str, Any] = dict(of.reader_options(reader, nginx_conf, max_bad))
    traces = open_sources(sources, of.selection_of(limit, None, None, None, None, 0), **options)
    with _tools():
        from ...rl.learn.plan import Training
        from ...rl.learn.train import train as run

    training = Training(
        sizes=tuple(of.listed(size)),
        k=k,
        tail=min(tail, k),
        network=network,
        hidden=hidden,
        features=features,
        reward=reward,
        hindsight=hindsight and reward == "bounded",
        horizon=horizon,
        warm_start=warm_start if network == "set" else 0,
        fit_steps=fit_steps,
        decisions=decisions,
        ttl=ttl,
        seed=seed,
    )
    with _stages(quiet or json) as report:
        history = run(
            traces,
            output,
            training,
            provenance=stamp(_command(sources, training, output), ("torch", "stable-baselines3", "onnxruntime")),
            report=report,
            resume=not anew,
        )
    if json:
        from json import dumps

        typer.echo(dumps({"schema": 1, **history}, indent=1))
    else:
        _print_history(history)
        if not quiet:
            say(
                f"model in {output}: evictlab rl evaluate {output} LOG, or evictlab replay LOG --policy cold_rl:{output}"
            )


def evaluate(
    model: Model,
    sources: of.Sources,
    size: Annotated[list[str], typer.Option("--size", "-s", metavar="SIZE,...", help="Capacities, as in 25MB,10%.")],
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", metavar="POLICY,...", help="Whom to compare with; default: every online one."),
    ] = None,
    warmup: Annotated[
        str | None,
        typer.Option(
            metavar="85%", help="Replayed, not counted; default: what it was trained on.", rich_help_panel=of.RUN
        ),
    ] = None,
    ttl: Ttl = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Seeds of those that draw.", rich_help_panel=of.RUN)
    ] = 1,
    limit: of.Limit = None,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Replay logs under a trained policy and under all others: hit ratios, and where it loses.

    Of a log that it was trained on, only the part that it has not seen is counted.

    evictlab rl evaluate model/ other.log --size 25MB,100MB
    """
    from ...rl.evaluate import evaluate as run
    from ..sources import open_sources
    from .progress import progress_bar

    options: dict[str, Any] = dict(of.reader_options(reader, nginx_conf, max_bad))
    traces = open_sources(sources, of.selection_of(limit, None, None, None, None, 0), **options)
    with progress_bar(quiet=quiet or json) as bar:
        rows = run(
            str(model),
            traces,
            of.listed(size),
            policies=None if policy is None else of.listed(policy),
            warmup=warmup,
            ttl=ttl,
            seeds=seeds,
            progress=bar,
            expect=None if bar is None else bar.expect,
        )
    if json:
        from json import dumps

        typer.echo(dumps({"schema": 1, "evaluated": rows}, indent=1))
    else:
        _print_rows(rows)


def export(
    model: Model,
    output: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="Folder to be made.")],
) -> None:
    """Pack a model up with all that a server needs: NGINX module, configuration, systemd unit, and a README with the steps.

    evictlab rl export model/ --out bundle/
    """
    from ...policies.registry import parse_policy
    from ...rl.bundle import write_bundle

    folder: Path = getattr(parse_policy(f"cold_rl:{model}"), "folder")  # noqa: B009 - of this policy only
    made = write_bundle(folder, output)
    typer.echo(made)
    say(f"next: {made}/README.md")


commands: dict[str, Callable[..., None]] = {"train": train, "evaluate": evaluate, "export": export}
"""The commands by name, in the order of the help."""


@contextmanager
def _tools() -> Iterator[None]:
    """Say which extra is missing where torch and its company are."""
    try:
        yield
    except ImportError as error:
        raise UsageError(f"training needs {error.name}: pip install 'evictlab[rl]'") from None


@contextmanager
def _stages(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each stage on a terminal; elsewhere a line when a stage begins."""
    import sys

    if quiet:
        yield lambda stage, done, total: None
        return
    if not sys.stderr.isatty():
        last: list[str] = []

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in last and stage != "judging":
                last.append(stage)
                say(stage)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    words = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*words, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.advance(tasks[stage], done)

        yield advance


def _command(sources: list[str], training: Any, output: Path) -> str:
    from dataclasses import fields

    words = [
        f"--{field.name.replace('_', '-')} {getattr(training, field.name)}"
        for field in fields(training)
        if field.name not in ("sizes", "hindsight") and getattr(training, field.name) != field.default
    ]
    if not training.hindsight:
        words.append("--no-hindsight")
    return " ".join(["evictlab rl train", *sources, "--size", ",".join(training.sizes), *words, "--out", str(output)])


def _print_history(history: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    from .table import print_table

    console = Console(highlight=False)
    console.print(Text("hit ratio on what was held back, %", style="dim"))
    judged = history["judged"]
    sizes = list(judged[0]["by_size"])
    stages = [f"{entry['stage']} {entry['number']}" + (" *" if entry == history["best"] else "") for entry in judged]
    columns = [([size], [Text(f"{100 * entry['by_size'][size]:.2f}") for entry in judged]) for size in sizes]
    print_table(console, (["after"], [Text(stage) for stage in stages]), columns)
    console.print(Text("* kept", style="dim"))


def _print_rows(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.text import Text

    from .table import print_table

    console = Console(highlight=False)
    for trace in dict.fromkeys(row["trace"] for row in rows):
        mine = [row for row in rows if row["trace"] == trace]
        counted = mine[0]["counted"]
        console.print(Text(f"{trace}: hit ratio, %, over {counted:,} requests", style="dim"))
        sizes = list(dict.fromkeys(row["capacity"] for row in mine))
        table = {(row["policy"], row["capacity"]): row for row in mine}
        first = sorted({row["policy"] for row in mine}, key=lambda name: -table[name, sizes[0]]["hit_ratio"])
        cells = [([size], [Text(f"{100 * table[name, size]['hit_ratio']:.2f}") for name in first]) for size in sizes]
        print_table(console, (["policy"], [Text(name) for name in first]), cells)
        for size in sizes:
            learned = next(row for row in mine if row["learned"] and row["capacity"] == size)
            better = [row for row in mine if row["capacity"] == size and row["hit_ratio"] > learned["hit_ratio"]]
            if better:
                best = max(better, key=lambda row: float(row["hit_ratio"]))
                lead = 100 * (best["hit_ratio"] - learned["hit_ratio"])
                console.print(Text(f"{size}: {len(better)} are better, {best['policy']} by {lead:.2f} points"))
