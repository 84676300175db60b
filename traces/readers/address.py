"""Memory address traces: ``l|s 0xADDR icount`` and Parrot's ``0xPC,0xADDR``.

The first is of UCSD's CSE 240A course: load or store, byte address, instructions
since the last access. Himelbrand's variant adds the penalties of a hit and a miss:
``l 0xADDR icount hit miss``. The second is of Liu et al., ICML 2020 (Parrot).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ..batch import Batch
from ..errors import UsageError
from .base.fields import Columns
from .base.layout import Field, Layout
from .base.operations import operations
from .base.registry import trace_format
from .base.source import Source
from .base.text import TextReader

__all__ = ["Address", "Parrot"]

_HEX = "0[xX][0-9a-fA-F]{1,16}"


class _Addresses(TextReader):
    OPTIONS: ClassVar = {"line_bytes": "bytes of a cache line, such as 64: keys are line numbers (default: addresses)"}

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        text = str(options.get("line_bytes", 1))
        if not text.isdecimal() or int(text) < 1:
            raise UsageError(f"{self.path}: line_bytes={text!r} is not a positive number")
        self._line_bytes = np.uint64(text)


@trace_format(
    "address",
    title="memory addresses",
    description="'l|s 0xADDR icount' per line, or with 'hit_penalty miss_penalty' after it",
    source="https://github.com/ben-manes/caffeine/tree/master/simulator/src/main/java"
    "/com/github/benmanes/caffeine/cache/simulator/parser/address",
    address_bytes=1,
)
class Address(_Addresses):
    """Reader of load and store traces. A miss penalty becomes the cost of a miss."""

    layout = Layout({"op": Field(0, "word", looks="[lsLS]"), "key": Field(1, "key", looks=_HEX)}, " ")

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        if len(source.head.partition(b"\n")[0].split()) >= 5:
            self.layout = replace(self.layout, fields={**self.layout.fields, "cost": Field(4, "float")})

    def batch(self, fields: Columns) -> Batch:
        """Divide addresses by the line size."""
        costs = None
        if "cost" in fields:
            self.note("miss penalties have no unit in this format; they are taken as seconds")
            costs = fields["cost"].astype(np.float32)
        return Batch(keys=fields["key"] // self._line_bytes, costs=costs, ops=operations(fields["op"]))


@trace_format(
    "parrot",
    title="Parrot memory accesses",
    description="'0xPC,0xADDR' per line",
    source="https://github.com/google-research/google-research/tree/master/cache_replacement",
    address_bytes=1,
)
class Parrot(_Addresses):
    """Reader of last-level cache traces as Parrot writes them; the program counter is not used."""

    layout = Layout({"pc": Field(0, "key", looks=_HEX), "key": Field(1, "key", looks=_HEX)}, width=2)

    def batch(self, fields: Columns) -> Batch:
        """Divide addresses by the line size."""
        return Batch(keys=fields["key"] // self._line_bytes)
