"""LIRS traces: one block number per line; ``*`` marks where a new run starts."""

from __future__ import annotations

from typing import ClassVar

from .base.layout import Field, Layout
from .base.registry import trace_format
from .base.sniff import CERTAIN, POSSIBLE, Head
from .base.text import TextReader

__all__ = ["Lirs"]


@trace_format(
    "lirs",
    title="LIRS block numbers",
    description="one decimal block number per line; lines '*' are skipped",
    source="https://github.com/ben-manes/caffeine/tree/master/simulator/src/main/resources"
    "/com/github/benmanes/caffeine/cache/simulator/parser/lirs",
    suffixes=(".trc", ".trace"),
)
class Lirs(TextReader):
    """Reader of the LIRS authors' traces."""

    layout = Layout({"key": Field(0, "key")}, width=1)
    skipped: ClassVar = {r"^\*\s*$": "mark '*'"}

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure with ``*`` lines; numbers alone are rather taken for plain ids (the result is the same)."""
        numbers = [line for line in head.lines if line.strip() != "*"]
        if not all(number.strip().isdecimal() for number in numbers) or not numbers:
            return 0.0
        return CERTAIN if len(numbers) < len(head.lines) else 0.8 * POSSIBLE
