"""What stands where in a line of delimited fields, and the regular expression that follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from .values import KINDS

__all__ = ["BLANKS", "Field", "Layout", "typical"]

BLANKS = " "
"""The delimiter that stands for any run of blanks and tabs."""


@dataclass(frozen=True)
class Field:
    """One field of a line.

    Attributes
    ----------
    position : int
        From 0.
    kind : str
        Of `KINDS`.
    missing : float or None
        Value of an empty field; None where it must not be empty.
    bits : int or None
        A number must be from 0 to below 2^bits, or its line is unreadable.
    looks : str or None
        Pattern of what usually stands there, for recognising the format only.
    """

    position: int
    kind: str
    missing: float | None = None
    bits: int | None = None
    looks: str | None = None


@dataclass(frozen=True)
class Layout:
    """What stands where in a line.

    Attributes
    ----------
    fields : mapping of str to Field
    delimiter : str
        One character; a blank stands for any run of blanks and tabs.
    quoted : bool
        Whether fields may be enclosed in double quotes.
    width : int or None
        Number of fields of a line, None if there may be more than are read.
    """

    fields: Mapping[str, Field]
    delimiter: str = ","
    quoted: bool = False
    width: int | None = None

    @cached_property
    def pattern(self) -> str:
        """Regular expression of a line that can be read, with a named group per field."""
        return self._pattern(usual=False)

    @cached_property
    def looks(self) -> str:
        """Regular expression of a line that is typical of the format."""
        return self._pattern(usual=True)

    def _pattern(self, usual: bool) -> str:
        blanks = self.delimiter == BLANKS
        separator, padding = (r"[ \t]+", "") if blanks else (re.escape(self.delimiter), " *")
        excluded = r" \t\r\n" if blanks else rf"{re.escape(self.delimiter)}\r\n"
        bare, quoted = f"[^{excluded}]", '"[^"]*"(?:"[^"]*")*'
        anything = f'(?:{quoted}|[^"{excluded}]{bare}*|)' if self.quoted else f"{bare}*"
        something = f'(?:{quoted}|[^"{excluded}]{bare}*)' if self.quoted else f"{bare}+"
        at = {field.position: (name, field) for name, field in self.fields.items()}
        parts = []
        for position in range(self.width or max(at) + 1):
            if position not in at:
                parts.append(anything)
                continue
            name, field = at[position]
            spelling = (usual and field.looks) or KINDS[field.kind].pattern
            empty = field.missing is not None
            if spelling is None:
                parts.append(f"(?P<{name}>{anything if empty else something})")
                continue
            group = f"(?P<{name}>(?:{spelling}){'?' if empty else ''})"
            quote = '"?' if self.quoted else ""
            parts.append(f"{padding}{quote}{group}{quote}{padding}")
        rest = "" if self.width else rf"(?:{separator}[^\r\n]*)?"
        start, end = (r"[ \t]*", r"[ \t]*") if blanks else ("", "")
        return rf"^{start}{separator.join(parts)}{rest}{end}[\r\n]*$"


def typical(layout: Layout, lines: list[str]) -> list[str]:
    """Return the lines that are typical of the layout if at least nine of ten are, else none."""
    record = re.compile(layout.looks)
    found = [line for line in lines if record.match(line)]
    return found if len(found) >= 0.9 * len(lines) else []
