"""``evictlab reproduce ...``: run a paper's experiment and put its numbers beside ours; a command per paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...traces.errors import UsageError
from . import options as of
from .guard import say
from .study import Output, Resume, report

if TYPE_CHECKING:
    from ..journal import Journal
    from ..page import Reproduction
    from ..papers.brightkite import Totals

__all__ = ["commands"]

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Traces, one page id per line; default: BrightKite's in the shared data.",
        rich_help_panel=of.RUN,
    ),
]
Size = Annotated[str, typer.Option("--size", "-s", metavar="SIZE", help="Of the cache.", rich_help_panel=of.RUN)]
Seeds = Annotated[str, typer.Option(metavar="0:10|0,1,2", help="Means are over these.", rich_help_panel=of.RUN)]
HERE = Path("reproduced")
PACKAGES = ("numpy", "numba", "scikit-learn")


class Flips(StrEnum):
    """Which bits flip."""

    all = "all"
    both = "both"
    to_keep = "1to0"
    to_go = "0to1"


class Clock(StrEnum):
    """How requests of the trap are stamped."""

    both = "both"
    scrambled = "scrambled"
    cumulative = "cumulative"


def succinct(
    flips: Annotated[Flips, typer.Option(help="Which bits flip.", rich_help_panel=of.RUN)] = Flips.all,
    data: Data = None,
    size: Size = "10obj",
    seeds: Seeds = "0:10",
    threads: of.Threads = None,
    output: Output = HERE,
    resume: Resume = False,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Paging with succinct predictions (ICML 2023): misses when bits are wrong, beside the proven bounds.

    evictlab reproduce succinct --flips both --seeds 0:3
    """
    from ..papers import succinct as paper

    chosen = list(paper.FLIPS) if flips is Flips.all else [flips.value]
    _reproduce(
        "succinct",
        paper.policies(chosen),
        lambda totals: paper.reproduction(totals, chosen),
        (data, size, seeds, threads, output, resume),
        json=json,
        quiet=quiet,
    )


def predictions(
    data: Data = None,
    size: Size = "10obj",
    seeds: Seeds = "0:10",
    threads: of.Threads = None,
    output: Output = HERE,
    resume: Resume = False,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Learning-augmented paging: every algorithm with PLECO, POPU, and the truth behind log-normal noise.

    evictlab reproduce predictions --seeds 0:3
    """
    from ..papers import predictions as paper

    _reproduce(
        "predictions",
        paper.policies(),
        paper.reproduction,
        (data, size, seeds, threads, output, resume),
        json=json,
        quiet=quiet,
    )


def one_bit(
    traces: Annotated[
        list[str] | None,
        typer.Argument(metavar="TRACE", help=f"{of.TRACE_HELP} Default: eleven real ones of the shared data."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Where the default traces are.", rich_help_panel=of.RUN),
    ] = None,
    size: Annotated[
        list[str], typer.Option("--size", "-s", metavar="SIZE,...", help="Of the cache.", rich_help_panel=of.RUN)
    ] = ["1%", "10%"],  # noqa: B006 - never changed
    seeds: Seeds = "0:3",
    threads: of.Threads = None,
    output: Output = HERE,
    resume: Resume = False,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """One learned bit per request, no oracle, on real traces: where it beats LRU, ARC, S3-FIFO and SIEVE, and where not.

    evictlab reproduce one-bit web.csv --size 1%,10%
    """
    from .blas import postpone_scipy

    postpone_scipy()
    from ..papers import one_bit as study
    from ..sources import open_sources
    from ..sweep import parse_seeds

    opened = open_sources(traces) if traces else study.open_traces(data)
    runs = study.plan(opened, of.listed(size), parse_seeds(seeds))
    report(
        "reproduce one-bit",
        sum(len(run.trace) for run in runs),
        lambda journal, bar: study.reproduction(study.measure(runs, journal, threads=threads, progress=bar)),
        {"seeds": seeds},
        (output, resume),
        packages=PACKAGES,
        json=json,
        quiet=quiet,
    )


def cold_rl(
    clock: Annotated[Clock, typer.Option(help="How requests are stamped.", rich_help_panel=of.RUN)] = Clock.both,
    seeds: Annotated[
        str, typer.Option(metavar="0:10|0,1,2", help="Of the generated traces.", rich_help_panel=of.RUN)
    ] = "0:10",
    requests: Annotated[
        int, typer.Option(metavar="N", min=1000, help="Of each trace; the authors' have 25000.", rich_help_panel=of.RUN)
    ] = 25_000,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Judge this model, not the one of the package.", rich_help_panel=of.RUN),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Train one anew into it, as that of the package was, and judge it.",
            rich_help_panel=of.RUN,
        ),
    ] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Also train without this and that (long).", rich_help_panel=of.RUN)
    ] = False,
    logs: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Also train on each log in it, and judge on its end.", rich_help_panel=of.RUN
        ),
    ] = None,
    threads: of.Threads = None,
    output: Output = HERE,
    resume: Resume = False,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Cold-RL (arXiv 2508.12485): its printed numbers, every online policy, a trained model, oracles and ceilings.

    evictlab reproduce cold-rl --clock scrambled --seeds 0:3
    """
    from .blas import postpone_scipy

    postpone_scipy()
    from ..papers import cold_rl as paper
    from ..papers import cold_rl_ablations, cold_rl_cells, cold_rl_logs, cold_rl_model
    from ..stamp import stamp
    from ..sweep import parse_seeds

    if model is not None and train is not None:
        raise UsageError("--model and --train are two ways to name the model; give one")
    chosen = parse_seeds(seeds)
    if train is not None or ablations or logs is not None:
        cold_rl_model.need_training_tools()
    clocks = cold_rl_cells.CLOCKS if clock is Clock.both else (clock.value,)
    told = None if quiet else _stages()
    if train is not None:
        about = stamp(f"evictlab reproduce cold-rl --train {train}", ("torch", "stable-baselines3", "onnxruntime"))
        judged = cold_rl_model.train_anew(train, provenance=about, resume=resume, report=told)
    else:
        judged = cold_rl_model.choose_model(model)
    cells = cold_rl_cells.plan(judged, chosen, clocks=clocks, n_requests=requests)
    tried = cold_rl_ablations.plan(output / "cold-rl-ablations") if ablations else []
    read = cold_rl_logs.plan(logs, output / "cold-rl-logs") if logs is not None else []

    def work(journal: Journal, bar: Any) -> Reproduction:
        rows = cold_rl_cells.measure(cells, journal, threads=threads, progress=bar)
        more = []
        if tried:
            more.append(cold_rl_ablations.part(cold_rl_ablations.measure(tried, journal, told, resume=resume)))
        if read:
            more.append(cold_rl_logs.part(cold_rl_logs.measure(read, journal, told, resume=resume)))
        return paper.reproduction(rows, judged, n_requests=requests, more=more)

    where = output, resume
    total = sum(cell.n_requests for cell in cells)
    report("reproduce cold-rl", total, work, {"seeds": seeds}, where, packages=PACKAGES, json=json, quiet=quiet)


commands: dict[str, Callable[..., None]] = {
    "succinct": succinct,
    "predictions": predictions,
    "one-bit": one_bit,
    "cold-rl": cold_rl,
}
"""The commands by name, in the order of the help."""


def _stages() -> Callable[[str, int, int], None]:
    """Return what tells each stage of a training once, as it begins."""
    told = set()

    def tell(stage: str, done: int, total: int) -> None:
        if stage not in told:
            told.add(stage)
            say(stage)

    return tell


def _reproduce(
    name: str,
    policies: Iterable[str],
    evaluate: Callable[[Totals], Reproduction],
    how: tuple[Path | None, str, str, int | None, Path, bool],
    *,
    json: bool,
    quiet: bool,
) -> None:
    """Replay all policies on all traces, then write and print what `evaluate` makes of the sums."""
    from .blas import postpone_scipy

    postpone_scipy()
    from ..papers import brightkite
    from ..sweep import parse_seeds

    data, size, seeds, threads, output, resume = how
    chosen = parse_seeds(seeds)
    traces = brightkite.open_traces(brightkite.where(data))
    planned = brightkite.plan(policies, traces, size, chosen)
    k = next(iter(planned.values()))[0].capacity.amount

    def work(journal: Journal, bar: Any) -> Reproduction:
        found = brightkite.measure(planned, journal, threads=threads, progress=bar)
        return evaluate(brightkite.Totals(len(traces), k, chosen, found))

    requests = sum(len(run.trace) for runs in planned.values() for run in runs)
    where = output, resume
    report(f"reproduce {name}", requests, work, {"seeds": seeds}, where, packages=PACKAGES, json=json, quiet=quiet)
