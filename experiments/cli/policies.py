"""``evictlab policies``: which policies there are, and one of them in full."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json
from .specs import show_specs
from .table import plain_table, show

if TYPE_CHECKING:
    from rich.console import Console

    from ...policies.registry import PolicySpec

__all__ = ["policies", "print_documentation", "print_parameters"]

CAPABILITIES = {
    "sizes": "byte sizes",
    "cost": "weighs the cost of a miss",
    "ttl": "objects may expire",
    "next_use": "knows the future (offline)",
    "random": "draws at random: --seeds",
    "admission": "an admission rule: NAME+EVICTION",
    "combines": "a combiner: NAME+ONE+OTHER",
}
"""What each capability of a policy means."""


def policies(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One policy in full; also './mine.py'.")] = None,
    json: Json = False,
) -> None:
    """List the policies: name, title, year, what they cope with (byte sizes, miss cost, TTL), source.

    evictlab policies sieve
    """
    from ...policies.registry import all_specs, load, spec_of

    specs = all_specs() if name is None else [load(name) if name.endswith(".py") else spec_of(name)]
    show_specs("policies", specs, one=name is not None, json=json, print_all=_print_all, print_one=_print_one)


def _parameters(spec: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(spec.params)


def _print_all(console: Console, specs: list[PolicySpec]) -> None:
    """A line per policy; where links would not fit, the title is one, and the source column is left out."""
    from rich.text import Text

    table = plain_table()
    for heading in ("name", "title", "year", "sizes", "cost", "ttl"):
        table.add_column(heading, no_wrap=heading != "title", overflow="fold")
    widest = max(len(spec.name) for spec in specs) + max(len(spec.title) for spec in specs) + 4 + 3 * 5 + 6 * 2
    with_source = not console.is_terminal or widest + max(len(spec.source) for spec in specs) <= console.width
    if with_source:
        table.add_column("source", no_wrap=True)
    family = ""
    for spec in specs:
        if spec.family != family:
            family = spec.family
            table.add_row(Text(family, style="dim italic"))
        marks = ("yes" if able else "-" for able in (spec.sizes, spec.cost, spec.ttl))
        title = Text(spec.title, style=f"link {spec.source}" if console.is_terminal else "")
        table.add_row(Text(spec.name, style="bold"), title, str(spec.year), *marks, *[spec.source] * with_source)
    show(console, table, whole=True)
    if not with_source:
        console.print("\nTitles link to the papers. One policy in full: evictlab policies NAME", style="dim")


def _print_one(console: Console, spec: PolicySpec) -> None:
    """What the policy's file says about it, then its parameters with their defaults."""
    from rich.text import Text

    console.print(Text.assemble((spec.title, "bold"), f" ({spec.year}), family {spec.family}"))
    console.print(Text(spec.source), soft_wrap=True)
    able = [meaning for name, meaning in CAPABILITIES.items() if getattr(spec, name)]
    unable = [meaning for name, meaning in CAPABILITIES.items() if name in ("sizes", "ttl") and not getattr(spec, name)]
    console.print(Text("; ".join([*able, *(f"no {meaning}" for meaning in unable)])))
    if spec.predictions:
        from ...policies.predictors import KINDS

        console.print(Text(f"reads with each request {KINDS[spec.predictions]}: --predict, or {spec.name}@pleco"))
    print_documentation(console, spec)
    print_parameters(console, spec, "--policy")


def print_documentation(console: Console, spec: Any) -> None:
    """Print what the file of a policy or predictor says about it."""
    from rich.text import Text

    for paragraph in inspect.cleandoc(inspect.getdoc(inspect.getmodule(spec.params)) or spec.summary).split("\n\n"):
        console.print()
        show(console, Text(re.sub(r"\n(?! |-|Source:|Differs)", " ", paragraph)))


def print_parameters(console: Console, spec: Any, option: str) -> None:
    """Print the parameters of a policy or predictor with their defaults and meanings, and how to write them."""
    from rich.text import Text

    parameters = _parameters(spec)
    if not parameters:
        return
    console.print()
    meanings: dict[str, str] = {}
    for cls in reversed(spec.params.__mro__):  # a parameter may be inherited
        meanings |= _meanings(inspect.cleandoc(cls.__doc__ or ""))
    table = plain_table()
    for heading in ("parameter", "default"):
        table.add_column(heading, no_wrap=True)
    table.add_column("meaning")
    for field in parameters:
        table.add_row(field.name, Text(str(field.default)), Text(meanings.get(field.name, "")))
    show(console, table)
    example = ":".join([_named(spec), *(f"{field.name}={field.default}" for field in parameters)])
    console.print(Text(f"\nas in {option} {example}"), soft_wrap=True)


def _named(spec: Any) -> str:
    """How it is named on the command line: one in a file of its own by its path."""
    own = inspect.getsourcefile(spec.params)
    return f"./{Path(own).name}" if getattr(spec, "family", "") == "plug-in" and own else str(spec.name)


def _meanings(doc: str) -> dict[str, str]:
    """Parameter names and what a NumPy docstring says about each."""
    _, _, section = doc.replace("Attributes\n----------\n", "Parameters\n----------\n").partition(
        "Parameters\n----------\n"
    )
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in section.split("\n"):
        if line.startswith(" "):
            meanings.update({name: f"{meanings[name]} {line.strip()}".strip() for name in names})
        elif " : " in line:
            names = line.partition(" : ")[0].split(", ")
            meanings.update(dict.fromkeys(names, ""))
        elif line:
            break
    return meanings
