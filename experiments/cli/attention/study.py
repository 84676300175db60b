"""``evictlab attention study``: which metric of a trace tells how many answers survive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import options as of
from ..study import Output, Resume, report

__all__ = ["study"]

HERE = Path("studied")


def study(
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", metavar="NAME,...", help="Default: all published ones of the registry."),
    ] = None,
    budget: Annotated[list[str] | None, typer.Option("--budget", "-b", metavar="N,...", help="Slots per head.")] = None,
    sequences: Annotated[int, typer.Option("--sequences", "-n", min=2, help="Texts of a set.")] = 24,
    seeds: Annotated[str, typer.Option(metavar="0:3|0,1", help="Sets of texts.")] = "0:3",
    output: Output = HERE,
    resume: Resume = False,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Correlate each metric of a trace with the answers that survive, over policies, budgets and protections.

    About 20 minutes on two cores; finished runs are kept, go on with --resume.

    evictlab attention study --output studied/
    """
    from ...attention_study import BUDGETS, POLICIES, measure, plan, reproduction
    from ...sweep import parse_seeds

    runs = plan(
        of.listed(policy) if policy else POLICIES, of.listed(budget) if budget else BUDGETS, seeds=parse_seeds(seeds)
    )
    report(
        "attention study",
        len(runs),
        lambda journal, bar: reproduction(measure(runs, journal, sequences=sequences, progress=bar)),
        {"seeds": f"sequences {seeds}, policies alike", "sequences": f"{sequences} in each set"},
        (output, resume),
        packages=("numpy", "numba", "scipy"),
        json=json,
        quiet=quiet,
    )
