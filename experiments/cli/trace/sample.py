"""``evictlab trace sample``: a smaller trace that behaves like the large one."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import options as of
from .convert import OutputTrace, write

__all__ = ["sample"]


def sample(
    rate: Annotated[str, typer.Argument(metavar="RATE", help="Share of the objects, as in 1%.")],
    traces: of.Parts,
    output: OutputTrace,
    reader: of.Reader = None,
    nginx_conf: of.NginxConf = None,
    max_bad: of.MaxBad = None,
    seed: of.Seed = 0,
    quiet: of.Quiet = False,
) -> None:
    """Keep all requests for a share of the objects (SHARDS), chosen by a hash of their keys.

    A cache of the same share of the size has about the same miss ratio.

    evictlab trace sample 1% big.parquet -o small.parquet
    """
    from ...sources import open_one

    selection = of.selection_of(None, None, None, None, rate, seed)
    options = of.reader_options(reader, nginx_conf, max_bad)
    write(open_one(traces, selection, cache=False, **options), output, quiet)
