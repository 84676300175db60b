"""``evictlab attention info``: what is in an attention trace, and whether it is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import options as of
from ..guard import FAILURE
from ..table import show

if TYPE_CHECKING:
    from ....traces.attention import AttentionTrace, Verification

__all__ = ["info"]


def info(
    trace: Annotated[
        str, typer.Argument(metavar="TRACE", help="Folder of an attention trace, a .safetensors file, or 'demo'.")
    ] = "demo",
    json: of.Json = False,
) -> None:
    """Say what is in an attention trace, and recompute its attention to see whether it is sound.

    evictlab attention info trace/
    """
    from ....traces.attention import open_attention, verify_attention

    opened = open_attention(trace)
    found = verify_attention(opened)
    if json:
        from json import dumps

        typer.echo(dumps({"schema": 1, **_values(opened, found)}, indent=1))
    else:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        console = Console(highlight=False)
        console.print(Text(opened.name, style="bold"))
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for what, words in {**opened.facts(), "verified": str(found)}.items():
            table.add_row(what, Text(words))
        show(console, table, whole=True)
    if not found.ok:
        raise typer.Exit(FAILURE)


def _values(trace: AttentionTrace, found: Verification) -> dict[str, Any]:
    """Numbers as numbers, for a program; a list has an entry per request or per recorded layer."""
    m, requests = trace.manifest, trace.requests
    return {
        "name": trace.name,
        "sha256": trace.sha256,
        "model": m.model,
        "requests": len(requests),
        "layers": [layer.index for layer in m.layers],
        "layers_of_model": m.n_layers,
        "heads": m.heads,
        "kv_heads": m.kv_heads,
        "head_dim": m.head_dim,
        "dtype": m.dtype,
        "rope_theta": [layer.rope_theta if layer.rotary_dim else None for layer in m.layers],
        "windows": [layer.window for layer in m.layers],
        "prompt": [request.n_prompt for request in requests],
        "decode": [request.n_decode for request in requests],
        "recorded_queries": [int(request.layers[0].q.shape[1]) for request in requests],
        "bytes_per_token": m.token_bytes * m.n_layers,
        "bytes_per_token_and_layer": m.token_bytes,
        "output_weights": any(opened() is not None for opened in trace.projections),
        "mode": m.mode,
        "text": m.source,
        "recorder": m.recorder,
        "licence": m.licence,
        "verdict": found.verdict,
        "verified": str(found),
        "largest_lse_error_nats": found.max_lse_error,
    }
