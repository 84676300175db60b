"""``evictlab attention info``: what is in an attention trace, and whether it is sound."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import options as of
from ..guard import FAILURE
from ..table import show

__all__ = ["info"]


def info(
    trace: Annotated[
        str, typer.Argument(metavar="[TRACE]", help="Folder of an attention trace, a .safetensors file, or 'demo'.")
    ] = "demo",
    json: of.Json = False,
) -> None:
    """Say what is in an attention trace, and recompute its attention to see whether it is sound.

    evictlab attention info trace/
    """
    from ....traces.attention import open_attention, verify_attention

    opened = open_attention(trace)
    found = verify_attention(opened)
    facts = {**opened.facts(), "verified": str(found)}
    if json:
        from json import dumps

        typer.echo(dumps({"schema": 1, "name": opened.name, "sha256": opened.sha256, **facts}, indent=1))
    else:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(highlight=False)
        console.print(Text(opened.name, style="bold"))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for what, words in facts.items():
            table.add_row(what, Text(words))
        show(console, table, whole=True)
    if not found.ok:
        raise typer.Exit(FAILURE)
