"""``evictlab attention policies``: which KV policies there are, and one of them in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..guard import say
from ..options import Json
from ..policies import print_documentation, print_parameters
from ..specs import show_specs
from ..table import plain_table, show

if TYPE_CHECKING:
    from rich.console import Console

    from ....policies.kv.registry import KVSpec

__all__ = ["policies"]

_FACTS = ("scorer", "window", "pooling", "gqa", "budget")


def policies(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One policy in full; also './mine.py'.")] = None,
    json: Json = False,
) -> None:
    """List the KV policies: what each one scores by, which queries it asks, how it shares out its budget, and its source.

    Any cache policy (evictlab policies) can be named as well: it is then applied to tokens.

    evictlab attention policies snapkv
    """
    from ....policies.kv.registry import all_kv_specs, kv_spec, load_kv_policy

    if name is not None and _applied_to_tokens(name):
        say(f"{name} is a cache policy (evictlab policies {name}); this is how it is applied to tokens")
        name = "paging"
    specs = all_kv_specs() if name is None else [load_kv_policy(name) if name.endswith(".py") else kv_spec(name)]
    show_specs("policies", specs, one=name is not None, json=json, print_all=_print_all, print_one=_print_one)


def _applied_to_tokens(name: str) -> bool:
    """Whether that is a policy of web caches, and none of attention caches."""
    from ....policies.kv.registry import kv_policy_names
    from ....policies.registry import policy_names

    own = name.lower().replace("-", "_")
    return own in policy_names() and own not in kv_policy_names()


def _print_all(console: Console, specs: list[KVSpec]) -> None:
    from rich.text import Text

    table = plain_table()
    for heading in ("name", "title", "year", "scored by", "budget", "evicts"):
        table.add_column(heading, no_wrap=heading in ("name", "year"), overflow="fold")
    family = ""
    for spec in specs:
        if spec.family != family:
            family = spec.family
            table.add_row(Text(family, style="dim italic"))
        title = Text(spec.title, style=f"link {spec.source}" if console.is_terminal else "")
        when = "oracle" if spec.oracle else "prompt" if spec.prompt_only else "each step"
        table.add_row(Text(spec.name, style="bold"), title, str(spec.year), spec.scorer, spec.budget, when)
    show(console, table, whole=True)
    console.print(
        "\nAny cache policy (lru, s3fifo, ...) can be applied to tokens, too. One in full: evictlab attention",
        style="dim",
    )
    console.print("policies NAME", style="dim")


def _print_one(console: Console, spec: KVSpec) -> None:
    from rich.text import Text

    console.print(Text.assemble((spec.title, "bold"), f" ({spec.year}), family {spec.family}"))
    console.print(Text(spec.source), soft_wrap=True)
    if spec.oracle:
        console.print(Text("a bound: it knows the future, or reads what it does not hold"))
    if spec.prompt_only:
        console.print(Text("evicts at the end of the prompt; generated tokens stay"))
    table = plain_table()
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.show_header = False
    for fact in _FACTS:
        if getattr(spec, fact) != "-":
            table.add_row(fact, Text(getattr(spec, fact)))
    show(console, table)
    print_documentation(console, spec)
    print_parameters(console, spec, "--policy")
