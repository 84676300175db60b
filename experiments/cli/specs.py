"""What a registry knows, as a list, one entry in full, or JSON: for policies, predictors and KV policies alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_specs"]


def show_specs(
    what: str,
    specs: Sequence[Any],
    *,
    one: bool,
    json: bool,
    print_all: Callable[[Console, Any], None],
    print_one: Callable[[Console, Any], None],
) -> None:
    """Print specs.

    Parameters
    ----------
    what : str
        Their name in JSON: ``"policies"``.
    specs : sequence of dataclass
        Each with a field ``params``, the dataclass of parameters.
    one : bool
        The first one in full.
    json : bool
    print_all, print_one : callable
        For people.
    """
    if json:
        from json import dumps

        typer.echo(dumps({"schema": 1, what: [_record(spec) for spec in specs]}, indent=1))
        return
    from rich.console import Console

    console = Console(highlight=False)
    if one:
        print_one(console, specs[0])
    else:
        print_all(console, specs)


def _record(spec: Any) -> dict[str, Any]:
    """Everything about an entry, in types that JSON knows."""
    facts = {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec) if field.name != "params"}
    return {**facts, "parameters": {field.name: field.default for field in dataclasses.fields(spec.params)}}
