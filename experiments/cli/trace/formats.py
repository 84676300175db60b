"""``evictlab trace formats``: which trace files can be read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import options as of
from ..table import plain_table, show

if TYPE_CHECKING:
    from ....traces.readers.base.registry import FormatSpec

__all__ = ["formats"]


def formats(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One format in full, with the options of its --reader.")
    ] = None,
    json: of.Json = False,
) -> None:
    """List the formats that are read; they are recognised by content, or named as in 'format:path'.

    Any of them may be compressed with gzip, Zstandard, xz or bzip2.
    """
    from ....traces.errors import UnknownNameError
    from ....traces.readers import FORMATS
    from ....traces.readers.base.reader import COMMON_OPTIONS
    from ....traces.write import WRITERS

    known = name is not None and name.replace("-", "_")
    if known and known not in FORMATS:
        raise UnknownNameError("trace format", name or "", FORMATS, "See: evictlab trace formats")
    specs = [FORMATS[known]] if known else list(FORMATS.values())
    if json:
        from json import dumps

        typer.echo(dumps({"schema": 1, "formats": [_record(spec, spec.name in WRITERS) for spec in specs]}, indent=1))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    table = plain_table()
    table.add_column("option" if known else "name", no_wrap=True)
    if known:
        spec = specs[0]
        console.print(Text.assemble((spec.title, "bold"), f"\n{spec.description}\n"))
        console.print(Text(f"defined in {spec.source}"), soft_wrap=True)
        table.add_column("meaning, as in --reader option=value", overflow="fold")
        for option, meaning in {**spec.reader.OPTIONS, **COMMON_OPTIONS}.items():
            table.add_row(option, Text(meaning))
        show(console, table)
        return
    table.add_column("what it is, and a record", overflow="fold")
    table.add_column("written", no_wrap=True)
    for spec in specs:
        words = Text.assemble(spec.title, "\n", (spec.description, "dim"))
        table.add_row(Text(spec.name, style="bold"), words, "yes" if spec.name in WRITERS else "-")
    show(console, table)


def _record(spec: FormatSpec, written: bool) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title": spec.title,
        "record": spec.description,
        "options": dict(spec.reader.OPTIONS),
        "suffixes": list(spec.suffixes),
        "written": written,
        "source": spec.source,
    }
