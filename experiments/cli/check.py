"""``evictlab check ...``: what the simulator predicts beside what the real thing does; a command per thing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...traces.errors import UsageError
from . import options as of
from .guard import GATE, say
from .study import Output, Resume, report

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["commands"]

HERE = Path("checked")


def nginx(
    traces: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORKLOAD|TRACE", help="nasa, trap, zipf (default: those that are here), or any trace with sizes."
        ),
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option("--size", "-s", metavar="SIZE,...", help="NGINX's max_size, as in 25MiB.")
    ] = None,
    manager: Annotated[
        str,
        typer.Option(metavar="stock,50ms", help="How soon the cache manager looks again: up to 10 s, or 50 ms."),
    ] = "stock,50ms",
    rate: Annotated[
        str | None, typer.Option(metavar="500/s", help="Requests are sent evenly.", rich_help_panel=of.RUN)
    ] = None,
    connections: Annotated[
        int, typer.Option(metavar="N", min=1, help="To NGINX, kept alive.", rich_help_panel=of.RUN)
    ] = 8,
    repeat: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Do each N times: NGINX is not the same twice.", rich_help_panel=of.RUN),
    ] = 1,
    limit: of.Limit = None,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where NASA's log is.", rich_help_panel=of.PART)
    ] = None,
    tolerance: Annotated[
        float, typer.Option(metavar="0.005", help="Difference of hit ratios above which the exit code is 3.")
    ] = 0.005,
    output: Output = HERE,
    resume: Resume = False,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """The same requests through a real NGINX and through the simulator: both hit ratios, and the difference.

    Needs Linux and the program nginx (Debian: apt install nginx). It runs in a temporary folder and listens there only;
    a system service is left alone. All three workloads take about ten minutes.

    evictlab check nginx

    evictlab check nginx zipf --size 25MiB --manager stock

    evictlab check nginx access.log --size 100MiB --rate 800/s --limit 20000
    """
    from ...traces.record.nginx import find_nginx, nginx_version
    from ..checks import nginx as study

    version = nginx_version(find_nginx())
    options = of.reader_options(reader, nginx_conf, max_bad)
    opened = [(name, study.shortened(trace, limit)) for name, trace in _opened(traces, options, data, quiet)]
    per_s = None if rate is None else of.rate_per_s(rate)
    runs = study.plan(opened, of.listed(size or []), of.listed([manager]), per_s, connections, repeat)
    made = report(
        "check nginx",
        sum(len(run.trace) for run in runs),
        lambda journal, bar: study.reproduction(study.measure(runs, journal, progress=bar), tolerance),
        {"nginx": version},
        (output, resume),
        packages=("numpy", "numba", "simpy"),
        json=json,
        quiet=quiet,
    )
    worst = max(abs(row["difference"]) for row in made.rows)
    if worst > tolerance:
        say(f"a predicted hit ratio is off by {worst:.4f}, more than {tolerance:g}")
        raise typer.Exit(GATE)


def learned(
    workload: Annotated[
        str,
        typer.Argument(metavar="WORKLOAD|TRACE", help="trap, zipf, nasa, or any trace with sizes."),
    ] = "trap",
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="Folder of a trained model, or one that comes along.")
    ] = "trap",
    size: Annotated[
        str | None,
        typer.Option("--size", "-s", metavar="25MiB", help="NGINX's max_size; default: the workload's least."),
    ] = None,
    manager: Annotated[
        str, typer.Option(metavar="50ms", help="How soon the cache manager looks again, with the model and without.")
    ] = "50ms",
    rate: Annotated[
        str | None, typer.Option(metavar="500/s", help="Requests are sent evenly.", rich_help_panel=of.RUN)
    ] = None,
    connections: Annotated[
        int, typer.Option(metavar="N", min=1, help="To NGINX, kept alive.", rich_help_panel=of.RUN)
    ] = 8,
    repeat: Annotated[
        int, typer.Option(metavar="N", min=1, help="Pairs of runs, one with NGINX's own LRU.", rich_help_panel=of.RUN)
    ] = 5,
    python: Annotated[
        bool, typer.Option("--python", help="The sidecar in Python rather than that in C.", rich_help_panel=of.RUN)
    ] = False,
    nice: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=-20,
            max=19,
            help="Of the sidecar; for root -10, as in the bundle's unit.",
            rich_help_panel=of.RUN,
        ),
    ] = None,
    limit: of.Limit = None,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where NASA's log is.", rich_help_panel=of.PART)
    ] = None,
    output: Output = HERE,
    resume: Resume = False,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """A real NGINX by its own LRU and by a learned policy in turns, beside the simulator's predictions of both.

    Needs Linux, nginx, its headers, gcc and make (Debian: apt install nginx nginx-dev gcc make), and
    the extra `sidecar`. Everything runs in temporary folders; a system service is left alone. Takes about ten minutes.
    What is asked of the learned policy is judged; if anything is missed, the exit code is 3.

    evictlab check learned

    evictlab check learned trap --model model/ --size 100MiB --repeat 3 --python
    """
    from ...rl.check.setup import model_folder
    from ...rl.sidecar.model import load_model
    from ...traces.record.nginx import find_nginx, nginx_version
    from ...traces.units import parse_duration
    from ..checks import learned as study
    from ..checks.nginx import shortened

    version = nginx_version(find_nginx())
    loaded = load_model(model_folder(model))
    nice = (-10 if os.geteuid() == 0 else 0) if nice is None else nice
    interval_s, per_s = parse_duration(manager), None if rate is None else of.rate_per_s(rate)
    ((name, trace),) = _opened([workload], of.reader_options(reader, nginx_conf, max_bad), data, quiet)
    trace = shortened(trace, limit)
    runs = study.plan(name, trace, size, model, interval_s, per_s, connections, python, nice, repeat)
    judged = []

    def work(journal: Any, bar: Any) -> Any:
        page, verdicts = study.reproduction(study.measure(runs, journal, loaded, progress=bar))
        judged.extend(verdicts)
        return page

    report(
        "check learned",
        sum(len(run.trace) for run in runs),
        work,
        {"nginx": version, "model": f"{model}, sha256 {loaded.metadata['model_sha256'][:12]}"},
        (output, resume),
        packages=("numpy", "numba", "simpy", "onnxruntime"),
        json=json,
        quiet=quiet,
    )
    missed = [each for each in judged if each.met is False]
    for each in missed:
        say(f"missed: {each.aim}; found: {each.found}")
    if missed:
        raise typer.Exit(GATE)


def _opened(
    named: list[str] | None, options: dict[str, Any], data: Path | None, quiet: bool
) -> list[tuple[str, RequestTrace]]:
    from ..checks import nginx as study
    from ..sources import open_source

    names = list(study.WORKLOADS) if named is None else named
    if named is None and study.nasa_log(data) is None:
        names.remove("nasa")
        if not quiet:
            say("the workload nasa is left out: its log is not here (--data FOLDER says where)")
    opened = [
        (name, study.workload(name, data))
        if name in study.WORKLOADS
        else (Path(name).name, open_source(name, **options))
        for name in names
    ]
    for name, trace in opened:
        if trace.sizes is None:
            raise UsageError(f"{name} has no sizes, so NGINX's origin would not know what to answer")
    return opened


commands: dict[str, Callable[..., None]] = {"nginx": nginx, "learned": learned}
"""The commands by name, in the order of the help."""
