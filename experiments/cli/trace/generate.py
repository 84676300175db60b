"""``evictlab trace generate``: synthetic traces."""

from __future__ import annotations

from typing import Annotated

import typer

from ....traces.errors import UsageError
from .. import options as of
from .convert import write

__all__ = ["generate"]


def generate(
    spec: Annotated[
        str | None,
        typer.Argument(metavar="SPEC", help="As in 'zipf:requests=1e6,objects=1e5,alpha=0.9,seed=3'; none: list them."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="A file in .parquet, .oracleGeneral or .csv.")
    ] = None,
    quiet: of.Quiet = False,
) -> None:
    """Write a synthetic trace; without SPEC, list the generators and their parameters.

    The same specification gives the same trace everywhere. Every command takes it in the place of a file.
    """
    from ....traces.generate import generate as generated

    if spec is None:
        _list_generators()
        return
    if output is None:
        raise UsageError(f"where to? Add -o FILE, or use it directly: evictlab replay {spec!r}")
    write(generated(spec), output, quiet)


def _list_generators() -> None:
    from ....traces.generate import GENERATORS

    typer.echo(GENERATORS)
