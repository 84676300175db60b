"""``evictlab trace formats``: which trace files can be read and written."""

from __future__ import annotations

import typer

from .. import options as of

__all__ = ["formats"]


def formats(json: of.Json = False) -> None:
    """List the formats that are read; they are recognised by content, or named as in 'format:path'.

    Any of them may be compressed with gzip, Zstandard, xz or bzip2.
    """
    from ....traces.readers import FORMATS
    from ....traces.write import WRITERS

    if json:
        from json import dumps

        records = [
            {
                "name": spec.name,
                "title": spec.title,
                "record": spec.description,
                "options": dict(spec.reader.OPTIONS),
                "suffixes": list(spec.suffixes),
                "written": spec.name in WRITERS,
                "source": spec.source,
            }
            for spec in FORMATS.values()
        ]
        typer.echo(dumps({"schema": 1, "formats": records}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("what it is, and a record", overflow="fold")
    table.add_column("written", no_wrap=True)
    for spec in FORMATS.values():
        words = Text.assemble(spec.title, "\n", (spec.description, "dim"))
        table.add_row(spec.name, words, "yes" if spec.name in WRITERS else "-")
    console.print(table)
