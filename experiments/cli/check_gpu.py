"""``evictlab check gpu ...``: what the simulator predicts beside real tensors; a command per thing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ...traces.errors import MissingExtraError, UsageError
from . import options as of
from .guard import GATE, say

__all__ = ["commands"]


def attention(
    trace: Annotated[
        str,
        typer.Argument(metavar="TRACE", help="demo, a folder with a manifest.json, or a .safetensors file."),
    ] = "demo",
    device: Annotated[
        str, typer.Option(metavar="cuda|cpu", help="Where the tensors are; cuda:1 is the second.")
    ] = "cuda",
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", metavar="NAME,...", help="Default: one of each kind, and the full cache."),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option("--budget", "-b", metavar="N|N%,...", help="Slots per head, or a share of the prompt."),
    ] = None,
    protect: Annotated[
        str, typer.Option(metavar="sink=N,boundary=N,recent=N", help="Slots that no policy may evict; or none.")
    ] = "sink=4,recent=16",
    kernel: Annotated[
        str, typer.Option("--attention", metavar="sdpa|eager", help="How timed steps attend.", rich_help_panel=of.RUN)
    ] = "sdpa",
    repeats: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Of each timed step, default 30; 0: no times.", rich_help_panel=of.RUN),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|none",
            help="A .gguf of the recorded model, for the closed loop; default: the fetched SmolLM2.",
            rich_help_panel=of.RUN,
        ),
    ] = None,
    coefficients: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Step times fitted before on such a device: none are fitted.", rich_help_panel=of.RUN
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two budgets, few repetitions, if not said.", rich_help_panel=of.RUN)
    ] = False,
    seed: of.Seed = 0,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "--output", "-o", metavar="FOLDER", help="Gets page, numbers, picture.", rich_help_panel=of.OUTPUT
        ),
    ] = Path("checked"),
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Carry a policy's action log out on real keys and values, and compare with what was simulated.

    Slots and bytes must be equal, output errors within rounding; step times are fitted on half of the policies and budgets and
    predicted for the others (judged on a GPU only). Where the model's weights are, the whole model is run with its caches
    evicted from. If anything is contradicted, the exit code is 3.

    evictlab check gpu attention demo --device cuda

    evictlab check gpu attention trace/ --device cpu --policy snapkv,tova --budget 25% --quick
    """
    try:
        import torch
    except ImportError:
        raise MissingExtraError("check gpu", "attention") from None
    import shlex
    import sys

    from ...traces.attention import open_attention
    from ..checks import attention as study
    from ..stamp import stamp

    if kernel not in ("sdpa", "eager"):
        raise UsageError(f"--attention {kernel} is neither sdpa nor eager")
    study.try_out(out)
    words = sys.argv[1:]
    command = shlex.join(["evictlab", *words]) if words[:2] == ["check", "gpu"] else "evictlab check gpu attention"
    found = study.check(
        open_attention(trace),
        device=device,
        policies=of.listed(policy) if policy else study.POLICIES,
        protect=protect,
        seed=seed,
        attention=kernel,
        weights=weights,
        coefficients=coefficients,
        command=command,
        say=(lambda text: None) if quiet else say,
        **study.extent(quick, of.listed(budget) if budget else None, repeats),
    )
    about = stamp(command, ("numpy", "numba", "torch"))
    files = found.write(out, about)
    if json:
        typer.echo(found.document(about).rstrip())
    else:
        _print(found)
    if not quiet:
        for note in found.notes:
            say(note)
        say(f"wrote {', '.join(map(str, files))} (torch {torch.__version__})")
    for row in found.failed:
        say(f"{row['policy']}, {row['budget']}: {row['quantity']} {row['verdict']}. {row.get('why', '')}".rstrip())
    if not found.passed:
        if not found.failed:
            say("step times are off by more than they may be")
        raise typer.Exit(GATE)


def _print(found: object) -> None:
    from rich.console import Console
    from rich.text import Text

    from ..checks.attention import Checked
    from .study import _table
    from .table import show

    assert isinstance(found, Checked)
    console = Console(highlight=False)
    for block in found.summary():
        show(console, Text(block.title, style="bold"))
        show(console, _table(block))
        console.print()


commands: dict[str, Callable[..., None]] = {"attention": attention}
"""The commands by name, in the order of the help."""
