"""Which format a file is in, told by what stands in it."""

from __future__ import annotations

from functools import cached_property

from ...errors import FormatError
from .registry import FORMATS, FormatSpec
from .source import Source, text_lines

__all__ = ["CERTAIN", "LIKELY", "POSSIBLE", "Head", "detect"]

POSSIBLE, LIKELY, CERTAIN = 1.0, 2.0, 3.0

_LINES = 200
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1b"))


class Head:
    """The start of a file, as a format's `sniff` sees it.

    Attributes
    ----------
    source : Source
    data : bytes
        The first content bytes, up to 256 KiB.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.data = source.head

    @cached_property
    def text(self) -> str:
        """`data` as text, or empty where it has control characters or much that is not UTF-8."""
        if self.data.translate(None, _CONTROL) != self.data:
            return ""
        text = self.data.decode("utf-8-sig", errors="replace")
        return text if text.count("\ufffd") <= 0.01 * len(text) + (not self.source.complete) else ""

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are not blank, whole ones if there are any; none if the file is not text."""
        lines = text_lines(self.text)
        if len(lines) > 1 and not self.text.endswith("\n"):
            lines = lines[:-1]
        return [line for line in lines if line.strip()][:_LINES]


def detect(source: Source) -> FormatSpec:
    """Return the one format that a file's content fits best.

    A usual suffix decides between formats that fit equally well.

    Raises
    ------
    FormatError
        None fits, or several do; it names them and how to choose.
    """
    head = Head(source)
    scores = {}
    for spec in FORMATS.values():
        if score := spec.sniff(head):
            scores[spec.name] = score + 0.5 * (source.suffix in spec.suffixes)
    best = [name for name, score in scores.items() if score == max(scores.values())]
    if len(best) == 1:
        return FORMATS[best[0]]
    if best:
        found = f"may be {' or '.join(best)}"
        raise FormatError(source.path, found, hint=f"Name one, for example {best[0]}:{source.path}")
    shown = repr(head.lines[0][:60]) if head.lines else f"bytes {source.head[:12].hex(' ')}"
    raise FormatError(
        source.path,
        f"is in no known trace format; it starts with {shown}",
        hint=f"Name its format, as in plain:{source.path}; known: {', '.join(FORMATS)}.",
    )
