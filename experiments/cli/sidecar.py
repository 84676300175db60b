"""``evictlab sidecar ...``: the process that NGINX asks whom to evict, and how fast it answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...traces.errors import UsageError
from ...traces.units import format_duration, parse_duration
from . import options as of
from .guard import say

if TYPE_CHECKING:
    from ...rl.sidecar.bench import Measured

__all__ = ["commands"]

Python = Annotated[bool, typer.Option("--python", help="The server in Python: slower, needs no C compiler.")]


def serve(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Folder with model.onnx, metadata.json, parity.npz.")
    ],
    socket: Annotated[Path, typer.Option(metavar="PATH", help="Unix socket that NGINX connects to.")],
    python: Python = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Let NGINX evict as ever, and count what would have been done.")
    ] = False,
    mode: Annotated[str, typer.Option(metavar="0660", help="Permissions of the socket.")] = "0600",
    group: Annotated[str | None, typer.Option(metavar="www-data", help="Group of the socket.")] = None,
    priority: Annotated[
        int | None, typer.Option(metavar="N", help="Nice value of the server, -20 (first) to 19.")
    ] = None,
    quiet: of.Quiet = False,
) -> None:
    """Serve a learned policy to NGINX until SIGTERM or Ctrl-C; counters are printed then, and on SIGUSR1.

    A new model is taken up when metadata.json is renewed, and on SIGHUP; one that is not sound is refused, and the old
    one goes on.

    evictlab sidecar serve bundle/ --socket /run/evictlab/sidecar.sock --mode 0660 --group www-data
    """
    from ...rl.sidecar.listener import parse_mode
    from ...rl.sidecar.supervise import run_sidecar

    run_sidecar(
        bundle,
        socket,
        python=python,
        shadow=shadow,
        mode=parse_mode(mode),
        group=group,
        priority=priority,
        say=(lambda text: None) if quiet else say,
    )


def bench(
    bundle: Annotated[
        Path | None, typer.Argument(metavar="BUNDLE", help="A model; servers in C and in Python are started for it.")
    ] = None,
    socket: Annotated[Path | None, typer.Option(metavar="PATH", help="Of a sidecar that runs already.")] = None,
    k: Annotated[
        list[str] | None,
        typer.Option("--k", metavar="K,...", help="Candidates of a request; default: 16,32,64, as the model permits."),
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Round trips of each kind.")] = 2000,
    gap: Annotated[
        list[str],
        typer.Option(
            metavar="TIME,...",
            help="Pause before each request, after which the server is woken first, as NGINX does; 0s: none.",
        ),
    ] = ["0s,1ms"],  # noqa: B006 - never changed
    python: Annotated[bool, typer.Option("--python/--both", help="Only the server in Python; needs BUNDLE.")] = False,
    seed: of.Seed = 0,
    json: of.Json = False,
) -> None:
    """Measure how long a decision takes, from asking to having the answer, and the processor time that it costs.

    A sidecar that runs already counts these requests as NGINX's.

    evictlab sidecar bench bundle/

    evictlab sidecar bench --socket /run/evictlab/sidecar.sock --k 64 --gap 50ms
    """
    if (bundle is None) == (socket is None):
        raise UsageError("name what to measure: a BUNDLE, or --socket of a sidecar that runs")
    if python and bundle is None:
        raise UsageError("--python starts a server; it needs a BUNDLE")
    ks = None if k is None else [_number(word) for word in of.listed(k)]
    gaps = [parse_duration(word) for word in of.listed(gap)]
    if ks == [] or not gaps:
        raise UsageError("--k and --gap each need at least one value, as in --k 64 --gap 1ms")
    from ...rl.sidecar.bench import bench_model, bench_socket

    if bundle is None:
        assert socket is not None
        measured = list(bench_socket(socket, ks, gaps, rounds, seed))
    else:
        measured = list(bench_model(bundle, ks, gaps, rounds, ("python",) if python else ("c", "python"), seed))
    if json:
        _print_json(measured)
    else:
        _print(measured)


commands: dict[str, Callable[..., None]] = {"serve": serve, "bench": bench}
"""The commands by name, in the order of the help."""


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--k {text!r} is no number of candidates, such as 64") from None


def _print_json(measured: list[Measured]) -> None:
    from dataclasses import asdict
    from json import dumps

    rows = [asdict(row) for row in measured]
    rows = [{name: None if value != value else value for name, value in row.items()} for row in rows]
    typer.echo(dumps({"schema": 1, "bench": rows}, indent=1))


def _print(measured: list[Measured]) -> None:
    from rich.console import Console
    from rich.text import Text

    from ...rl.sidecar.bench import DEADLINE_US
    from .table import print_table

    console = Console(highlight=False)
    console.print(Text("microseconds from asking to having the answer", style="dim"))
    columns: dict[str, list[str]] = {
        "k": [str(row.k) for row in measured],
        "pause": [format_duration(row.gap_s) if row.gap_s else "-" for row in measured],
        "p50": [f"{row.p50_us:.1f}" for row in measured],
        "p95": [f"{row.p95_us:.1f}" for row in measured],
        "p99": [f"{row.p99_us:.1f}" for row in measured],
        "most": [f"{row.max_us:.0f}" for row in measured],
        f">{DEADLINE_US:.0f}": [f"{100 * row.late:.2f} %" for row in measured],
        "CPU ms/1000": [f"{1e3 * row.cpu_s_per_1000:.1f}" for row in measured],
    }
    print_table(
        console,
        (["server"], [Text(row.server) for row in measured]),
        [([heading], [Text(cell) for cell in cells]) for heading, cells in columns.items()],
    )
