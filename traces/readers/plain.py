"""One object per line, and nothing else: numbers or any text."""

from __future__ import annotations

from typing import Any, ClassVar

from .base.columns import key_kind
from .base.layout import Field, Layout
from .base.registry import trace_format
from .base.sniff import POSSIBLE, Head
from .base.source import Source
from .base.text import TextReader

__all__ = ["Plain"]

_NEVER = "\x01"
"""A delimiter that no line has, so that a line is one field."""


@trace_format(
    "plain",
    title="one id per line",
    description="each line is a key: an integer, or text if any sampled line is not one",
    source="https://github.com/1a1a11a/libCacheSim/blob/develop/doc/quickstart_cachesim.md",
    suffixes=(".txt",),
)
class Plain(TextReader):
    """Reader of bare lists of keys."""

    OPTIONS: ClassVar = {"key_type": "int, text or auto (default: int if all sampled keys are)"}

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        kind = key_kind(source.sampled_lines(), str(options.get("key_type", "auto")))
        self.layout = Layout({"key": Field(0, kind)}, _NEVER, width=1)

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Possible if no line has a blank, a comma, a quote or a bracket."""
        return POSSIBLE * (bool(head.lines) and not any(set(line.strip()) & set(' \t,;"{}<>') for line in head.lines))

    def _advice(self) -> str:
        return "If some keys are no integers, read all as text: key_type=text. "
