"""``evictlab trace record attention`` and ``evictlab trace fetch``: a real model reads a text, and its attention is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ....traces.errors import UnknownNameError, UsageError
from .. import options as of
from ..guard import say
from ..table import show

if TYPE_CHECKING:
    from ....traces.attention import AttentionTrace

__all__ = ["fetch", "record_attention"]

MODELS = ("smollm2",)
KEPT = "What is kept"


def record_attention(
    text: Annotated[Path, typer.Option(metavar="FILE", help="What the model reads, UTF-8.")],
    output: Annotated[
        Path, typer.Option("--output", "--out", "-o", metavar="FOLDER", help="Of the trace; new or empty.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="A .gguf file (llama, gemma3) or a Hugging Face folder; default: the fetched SmolLM2."
        ),
    ] = None,
    prompt: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens of the prompt.")] = 1024,
    decode: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens answered after it, one by one.")] = 128,
    layers: Annotated[
        str | None,
        typer.Option(metavar="9,18", help="Of the model, from 0; -1 is the last. Default: all.", rich_help_panel=KEPT),
    ] = None,
    prompt_queries: Annotated[
        str, typer.Option(metavar="N|all", help="Last queries of the prompt.", rich_help_panel=KEPT)
    ] = "64",
    dtype: Annotated[
        str, typer.Option(metavar="NAME", help="float16, bfloat16 or float32.", rich_help_panel=KEPT)
    ] = "float16",
    with_x: Annotated[
        bool, typer.Option("--with-x", help="Also what each layer's projections read.", rich_help_panel=KEPT)
    ] = False,
    no_wo: Annotated[
        bool, typer.Option("--no-wo", help="Leave the output projections out.", rich_help_panel=KEPT)
    ] = False,
    json: of.Json = False,
    quiet: of.Quiet = False,
) -> None:
    """Let a model read a text, and write down its queries, keys and values as an attention trace.

    evictlab trace record attention --model model.gguf --text book.txt --prompt 1024 --decode 128 --out trace/
    """
    from ....traces.attention import verify_attention
    from ....traces.record.attention import record_attention as record

    if not text.is_file():
        raise UsageError(f"--text {text}: there is no such file")
    trace = record(
        _model(model),
        text,
        out=output,
        prompt=prompt,
        decode=decode,
        layers=None if layers is None else _whole_numbers(layers),
        prompt_queries=_queries(prompt_queries),
        dtype=dtype,
        with_x=with_x,
        with_wo=not no_wo,
    )
    found = verify_attention(trace)
    if not quiet:
        say(f"{output}: {found}")
    _print(trace, json)


def fetch(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="smollm2: SmolLM2-135M-Instruct, Apache-2.0, 93 MB.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "--out", "-o", metavar="FOLDER", help="Default: where recordings look for it."),
    ] = None,
    quiet: of.Quiet = False,
) -> None:
    """Download the weights of a small model, to record its attention.

    evictlab trace fetch smollm2
    """
    from ....traces.record.attention import fetch_smollm2

    if what not in MODELS:
        raise UnknownNameError("model", what, MODELS)
    path = fetch_smollm2(output)
    if not quiet:
        say("SmolLM2-135M-Instruct by HuggingFaceTB, Apache-2.0; its digest is the expected one")
    typer.echo(path)


def _model(given: Path | None) -> Path:
    from ....traces.record.attention import find_smollm2

    path = given if given is not None else find_smollm2()
    if path is None:
        raise UsageError("which model? Name one with --model, or fetch a small one: evictlab trace fetch smollm2")
    if not path.exists():
        raise UsageError(f"--model {path}: there is no such file or folder")
    return path


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in of.listed([text])]
    except ValueError:
        raise UsageError(f"--layers {text}: write whole numbers, as in 9,18,25") from None


def _queries(text: str) -> int | Literal["all"]:
    if text == "all":
        return "all"
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--prompt-queries {text}: write a whole number, or all") from None


def _print(trace: AttentionTrace, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict
        from json import dumps

        request = trace.request(0)
        facts: dict[str, Any] = {**asdict(trace.manifest), "n_prompt": request.n_prompt, "n_decode": request.n_decode}
        typer.echo(dumps({"schema": 1, "recording": {"sha256": trace.sha256, **facts}}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(trace.name, style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, words in trace.facts().items():
        table.add_row(label, Text(words))
    show(console, table, whole=True)
