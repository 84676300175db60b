"""``evictlab nginx ...``: the module that lets an NGINX evict by a learned policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ...traces.errors import UsageError

__all__ = ["commands"]


def build(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="BUNDLE", help="Folder with module/ (default: the sources of this evictlab)."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "--out", "-o", metavar="FILE", help="Default: in the bundle.")
    ] = None,
) -> None:
    """Compile the module for the NGINX that is installed here, and print the file.

    Needs nginx, its headers, gcc and make (Debian, Ubuntu: apt install nginx nginx-dev gcc make). Build again after
    each update of NGINX.

    evictlab nginx build bundle/

    evictlab nginx build bundle/ --out /usr/lib/nginx/modules/ngx_http_evictlab_module.so
    """
    from ...rl.build import MODULE, SOURCES, build_module
    from .guard import say

    if bundle is None and output is None:
        raise UsageError(f"name a BUNDLE, or the file to write: --out {MODULE}")
    sources = SOURCES if bundle is None else bundle / "module"
    if bundle is not None and not sources.is_dir():
        raise UsageError(f"{bundle} is no bundle: it has no folder module/")
    if output is None:
        assert bundle is not None
        output = bundle / MODULE
    version = build_module(output, sources)
    say(f"this module fits {version} only")
    typer.echo(output)


commands: dict[str, Callable[..., None]] = {"build": build}
"""The commands by name, in the order of the help."""
