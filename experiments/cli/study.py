"""What commands that compare with something have in common: a folder of results, a journal, and what is printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as of
from .guard import INTERRUPTED, one_interrupt, say
from .progress import progress_bar

if TYPE_CHECKING:
    from ..journal import Journal
    from ..page import Block, Reproduction

__all__ = ["Output", "Resume", "report"]

Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FOLDER", help="Gets page, numbers, picture.", rich_help_panel=of.OUTPUT),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Skip what an interrupted attempt has finished.", rich_help_panel=of.OUTPUT)
]


def report(
    command: str,
    requests: int,
    work: Callable[[Journal, Any], Reproduction],
    stamped: dict[str, str],
    where: tuple[Path, bool],
    *,
    packages: tuple[str, ...] = ("numpy", "numba"),
    json: bool,
    quiet: bool,
) -> Reproduction:
    """Do the work with a journal and a progress bar, then write and print what comes of it.

    Parameters
    ----------
    command : str
        As in ``reproduce succinct``; its last word names the files.
    requests : int
        Of the progress bar.
    work : callable (journal, progress) -> Reproduction
    stamped : dict of str to str
        Goes into the stamp beside command, commit, machine and versions.
    where : (folder, whether to resume)
    packages : tuple of str
        Whose versions the stamp tells.
    json, quiet : bool
    """
    from ..journal import Journal
    from ..stamp import stamp

    output, resume = where
    output.mkdir(parents=True, exist_ok=True)
    with Journal(output / f"{command.split()[-1]}.csv", resume=resume) as journal:
        try:
            with one_interrupt(), progress_bar(requests, quiet=quiet) as bar:
                reproduced = work(journal, bar)
        except KeyboardInterrupt:
            kept = f"go on with: evictlab {command} --output {output} --resume"
            say(f"interrupted: {len(journal.finished)} results are finished; {kept}")
            raise typer.Exit(INTERRUPTED) from None
        about = stamp(_as_given(command), packages) | stamped
        files = reproduced.write(output, about)
        journal.remove()
    if json:
        typer.echo(_document(reproduced, about))
    else:
        _print(reproduced)
    if not quiet:
        say(f"wrote {', '.join(map(str, files))}")
    return reproduced


def _as_given(command: str) -> str:
    """Return the command as it was given; not the path of the program, which tells nothing elsewhere."""
    import shlex
    import sys

    words = sys.argv[1:]
    return shlex.join(["evictlab", *words]) if words[:2] == command.split() else f"evictlab {command}"


def _document(reproduced: Reproduction, about: dict[str, str]) -> str:
    from json import dumps

    parts = {"schema": 1, "stamp": about, "remarks": reproduced.remarks, "rows": reproduced.rows}
    return dumps(parts, indent=1, ensure_ascii=False, allow_nan=False)


def _print(reproduced: Reproduction) -> None:
    from rich.console import Console
    from rich.text import Text

    from .table import show

    console = Console(highlight=False)
    show(console, Text(reproduced.title, style="bold"))
    for block in reproduced.blocks:
        console.print()
        show(console, Text(block.title, style="dim"))
        show(console, _table(block))
    for remark in reproduced.remarks:
        console.print()
        show(console, Text(remark))


def _table(block: Block) -> object:
    from rich.text import Text

    from .table import plain_table

    table = plain_table()
    table.padding = (0, 1, 0, 0)
    for place, title in enumerate(block.header):
        table.add_column(title, justify="right" if place else "left", no_wrap=True)
    for line in block.rows:
        quiet = "" if line[0][:1] != " " else "dim"
        cells = (("bold", cell.strip("*")) if cell.startswith("**") else (quiet, cell) for cell in line)
        table.add_row(*(Text(text, style=style) for style, text in cells))
    return table
