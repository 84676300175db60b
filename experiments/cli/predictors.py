"""``evictlab predictors``: who can predict for policies that read predictions, and one of them in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json
from .policies import print_documentation, print_parameters
from .specs import show_specs
from .table import plain_table, show

if TYPE_CHECKING:
    from rich.console import Console

    from ...policies.predictors import PredictorSpec

__all__ = ["predictors"]


def predictors(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One predictor in full.")] = None,
    json: Json = False,
) -> None:
    """List the predictors: sources of predictions, and noises that disturb them.

    evictlab predictors learned

    evictlab replay demo --ignore-sizes --policy mark0,lru --predict pleco+noisy:p=0.1
    """
    from ...policies.predictors import all_predictors, predictor_spec

    specs = all_predictors() if name is None else [predictor_spec(name)]
    show_specs("predictors", specs, one=name is not None, json=json, print_all=_print_all, print_one=_print_one)


def _print_all(console: Console, specs: list[PredictorSpec]) -> None:
    from rich.text import Text

    table = plain_table()
    for heading in ("name", "year"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what it predicts")
    kind = None
    for spec in specs:
        if spec.noise != kind:
            kind = spec.noise
            table.add_row(Text("noises" if kind else "sources", style="dim italic"))
        table.add_row(Text(spec.name, style="bold"), str(spec.year), spec.summary)
    show(console, table)
    console.print(
        Text(
            "\nNoises go behind a source, as in pleco+noisy:p=0.1; alone they disturb the truth. file:PATH reads one number "
            "per request. One in full: evictlab predictors NAME",
            style="dim",
        )
    )


def _print_one(console: Console, spec: PredictorSpec) -> None:
    from rich.text import Text

    from ...policies.predictors import KINDS

    console.print(Text.assemble((spec.title, "bold"), f" ({spec.year}), {'noise' if spec.noise else 'source'}"))
    console.print(Text(spec.source), soft_wrap=True)
    kinds = getattr(spec.params, "kinds", ())
    if isinstance(kinds, tuple):
        made = "" if set(kinds) == set(KINDS) or "next_use" not in kinds else "; bits are made from the times"
        console.print(Text(f"{'disturbs' if spec.noise else 'predicts'} {', '.join(kinds)}{made}"))
    print_documentation(console, spec)
    print_parameters(console, spec, "--predict")
