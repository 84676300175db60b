"""The command line: every command is a function in a file of its own, and nothing heavy is imported before it runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from .attention import DEFAULT as ATTENTION
from .attention import commands as attention_commands
from .check import commands as check_commands
from .check_gpu import commands as gpu_commands
from .curve import curve
from .default_group import default_group
from .guard import Command
from .nginx import commands as nginx_commands
from .policies import policies
from .predictors import predictors
from .proxy import proxy
from .replay import replay
from .report import report
from .reproduce import commands as reproduce_commands
from .rl import commands as rl_commands
from .sidecar import commands as sidecar_commands
from .sweep import sweep
from .trace import commands as trace_commands
from .trace import record_commands

__all__ = ["app", "main"]

EPILOG = (
    "Data go to stdout, everything else to stderr. Exit codes: 0 done, 1 failure, 2 usage, "
    "3 a gate failed (report --fail-if), 130 interrupted. EVICTLAB_DEBUG=1 adds tracebacks to errors."
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"evictlab {version('evictlab')}")
        raise typer.Exit


app = typer.Typer(name="evictlab", no_args_is_help=True, pretty_exceptions_enable=False, epilog=EPILOG)
trace_app = typer.Typer(name="trace", no_args_is_help=True, help="Look into traces, convert, sample and generate them.")
record_app = typer.Typer(
    name="record",
    no_args_is_help=True,
    help="Record a trace from the real thing: an NGINX that is sent requests, or a model that reads a text.",
)
attention_app = typer.Typer(
    name="attention",
    cls=default_group(ATTENTION),
    help="Attention caches: replay recorded attention against KV policies (meant where nothing is named), and more.",
)
check_app = typer.Typer(name="check", no_args_is_help=True, help="Compare predictions with the real thing.")
gpu_app = typer.Typer(
    name="gpu", no_args_is_help=True, help="Real tensors on a GPU (or on the processor) beside what was simulated."
)
rl_app = typer.Typer(name="rl", no_args_is_help=True, help="Train an eviction policy on logs, judge it, export it.")
sidecar_app = typer.Typer(name="sidecar", no_args_is_help=True, help="Serve a learned policy to NGINX, and measure it.")
nginx_app = typer.Typer(name="nginx", no_args_is_help=True, help="The module by which NGINX asks a learned policy.")
reproduce_app = typer.Typer(name="reproduce", no_args_is_help=True, help="Run a paper's experiment and compare.")


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What should a cache throw away, and what does that cost? Replay traces against policies and see."""


_COMMANDS: tuple[Callable[..., None], ...] = (replay, curve, proxy, policies, predictors, sweep, report)
for command in _COMMANDS:
    app.command(cls=Command)(command)
for group, members in (
    (record_app, record_commands),
    (attention_app, attention_commands),
    (trace_app, trace_commands),
    (gpu_app, gpu_commands),
    (check_app, check_commands),
    (rl_app, rl_commands),
    (sidecar_app, sidecar_commands),
    (nginx_app, nginx_commands),
    (reproduce_app, reproduce_commands),
):
    for name, member in members.items():
        group.command(name, cls=Command)(member)
    parent = {id(record_app): trace_app, id(gpu_app): check_app}.get(id(group), app)
    parent.add_typer(group)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that lacks a sign shows ?
    # A third of a short command was Python's search for garbage among the modules just imported, and again at its end.
    gc.set_threshold(500_000)
    try:
        app(prog_name="evictlab")
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
