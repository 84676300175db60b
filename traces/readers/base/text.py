"""Lines of delimited fields: a layout says what stands where, and the rest is done here.

Blocks of lines go through Arrow's CSV parser straight into typed columns. A block
that does not parse is taken apart by one regular expression made from the layout:
lines that match are kept, the others are counted with their line numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ...batch import Batch
from .reader import BATCH_RECORDS, TORN, Reader
from .sniff import CERTAIN, Head
from .values import KINDS, arrow_type, from_text, numpy_column

__all__ = ["Columns", "Field", "Layout", "TextReader"]

Columns = dict[str, Any]
"""Field name to NumPy array (numbers, words as `Words`) or Arrow string array (text)."""

BLANKS = " "
"""The delimiter that stands for any run of blanks and tabs."""


class Words(NamedTuple):
    """A column of few distinct texts: ``texts[codes[i]]``."""

    codes: npt.NDArray[np.int32]
    texts: list[str]


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
        separator = r"[ \t]+" if blanks else re.escape(self.delimiter)
        anything = r"[^ \t\r\n]*" if blanks else rf"[^{re.escape(self.delimiter)}\r\n]*"
        if self.quoted:
            anything = f'(?:"(?:[^"]|"")*"|{anything})'
        at = {field.position: (name, field) for name, field in self.fields.items()}
        parts = []
        for position in range(self.width or max(at) + 1):
            if position not in at:
                parts.append(anything)
                continue
            name, field = at[position]
            spelling = (usual and field.looks) or KINDS[field.kind].pattern
            if spelling is None:
                spelling = anything if field.missing is not None else anything.replace("]*", "]+")
            else:
                spelling = f"(?:{spelling})" + ("?" if field.missing is not None else "")
            group = f"(?P<{name}>{spelling})"
            if self.quoted and KINDS[field.kind].pattern:
                group = f'"?{group}"?'
            tight = blanks or KINDS[field.kind].arrow == "string"
            parts.append(group if tight else f" *{group} *")
        rest = "" if self.width else f"(?:{separator}.*)?"
        start = r"[ \t]*" if blanks else ""
        return rf"^{start}{separator.join(parts)}{rest}[ \t\r\n]*$"


class TextReader(Reader):
    """Reads lines by a `Layout`. Subclasses turn columns into batches.

    Attributes
    ----------
    layout : Layout
        Class attribute, or set by ``__init__``.
    header_lines : int
        Lines before the first record.
    skipped : dict of str to str
        Lines that are no records by definition: regular expression to why.
    """

    layout: Layout
    header_lines: int = 0
    skipped: ClassVar[Mapping[str, str]] = {}

    def batch(self, fields: Columns) -> Batch | Iterator[Batch]:
        """Turn the fields of at most `BATCH_RECORDS` lines into one batch, or several."""
        return Batch(keys=fields["key"])

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure if nine of ten lines match the layout."""
        return CERTAIN * matches(cls.layout, head.lines[cls.header_lines :])

    def _read(self) -> Iterator[Batch]:
        for number, (first_line, block) in enumerate(self.source.blocks()):
            if number == 0:
                for _ in range(self.header_lines):
                    block = block[block.find(b"\n") + 1 or len(block) :]
                first_line += self.header_lines
            if not block:
                continue
            columns = self._parse(block)
            if columns is None:
                columns = self._sift(first_line, block)
            yield from self._batches(columns)

    @cached_property
    def _delimiter(self) -> str:
        """The one character between fields, where there is one."""
        tabs = self.layout.delimiter == BLANKS and b"\t" in self.source.head.partition(b"\n")[0]
        return "\t" if tabs else self.layout.delimiter

    def _parse(self, block: bytes) -> Columns | None:
        """Return the typed columns of a block, or None if any line of it is out of order."""
        import pyarrow as pa
        from pyarrow import csv

        fields = self.layout.fields
        names = {name: f"f{field.position}" for name, field in fields.items()}
        try:
            table = csv.read_csv(
                pa.BufferReader(block),
                csv.ReadOptions(autogenerate_column_names=True),
                csv.ParseOptions(delimiter=self._delimiter, quote_char='"' if self.layout.quoted else False),
                csv.ConvertOptions(
                    column_types={names[name]: arrow_type(field.kind) for name, field in fields.items()},
                    include_columns=list(names.values()),
                    null_values=[""],
                ),
            )
        except (pa.ArrowException, KeyError):
            return None
        columns = {name: table.column(i) for i, name in enumerate(names)}
        for name, field in fields.items():
            if field.missing is None and (columns[name].null_count or _hollow(columns[name], field.kind)):
                return None
        plain = self._plain(columns)
        if not self._in_range(plain).all():
            return None
        self.account.records += table.num_rows
        return plain

    def _sift(self, first_line: int, block: bytes) -> Columns:
        """Return the columns of the lines of a block that are in order; count the others."""
        import pyarrow as pa
        import pyarrow.compute as pc

        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        torn = not block.endswith(b"\n")
        bounds = np.concatenate(([0], ends + 1, [len(block)] if torn else [])).astype(np.int32)
        lines = pa.Array.from_buffers(pa.binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(block)])
        numbers = np.arange(first_line, first_line + len(lines))
        pending = ~pc.match_substring_regex(lines, r"^\s*$").to_numpy(zero_copy_only=False)
        self.account.records += int(pending.sum())
        for pattern, why in self.skipped.items():
            skip = pending & pc.match_substring_regex(lines, pattern).to_numpy(zero_copy_only=False)
            self.drop(why, int(skip.sum()))
            pending &= ~skip
        found = pc.extract_regex(lines, self.layout.pattern)
        good = pending & found.is_valid().to_numpy(zero_copy_only=False)
        bad = pending & ~good
        if torn and bad[-1]:
            bad[-1] = False
            self.drop(TORN, 1, [_example(numbers[-1], lines[-1])])
        found = found.filter(pa.array(good))
        columns = {}
        for name, field in self.layout.fields.items():
            column = found.field(name)
            columns[name] = from_text(_unquote(column) if self.layout.quoted else column, field.kind)
        plain = self._plain(columns)
        in_range = self._in_range(plain)
        bad[np.flatnonzero(good)[~in_range]] = True
        where = np.flatnonzero(bad)
        self.refuse("unreadable", len(where), [_example(numbers[i], lines[int(i)]) for i in where[:3]])
        return plain if in_range.all() else _take(plain, in_range)

    def _plain(self, columns: dict[str, Any]) -> Columns:
        """Turn Arrow columns into what `batch` takes."""
        import pyarrow as pa

        plain: Columns = {}
        for name, field in self.layout.fields.items():
            column = columns[name]
            if isinstance(column, pa.ChunkedArray):
                column = column.unify_dictionaries().combine_chunks()
            if field.kind == "word":
                plain[name] = Words(numpy_column(column.indices, -1), [*column.dictionary.to_pylist(), ""])
            elif KINDS[field.kind].arrow == "string":
                plain[name] = column
            else:
                plain[name] = numpy_column(column, field.missing or 0)
        return plain

    def _in_range(self, columns: Columns) -> npt.NDArray[np.bool_]:
        """Which rows have all numbers below their ``2^bits``."""
        fine = np.ones(_length(columns), dtype=bool)
        for name, field in self.layout.fields.items():
            if field.bits is not None:
                fine &= columns[name] >> field.bits == 0
        return fine

    def _batches(self, columns: Columns) -> Iterator[Batch]:
        for start in range(0, _length(columns), BATCH_RECORDS):
            made = self.batch(_take(columns, slice(start, start + BATCH_RECORDS)))
            if isinstance(made, Batch):
                yield made
            else:
                yield from made


def _length(columns: Columns) -> int:
    first = next(iter(columns.values()))
    return len(first.codes) if isinstance(first, Words) else len(first)


def _take(columns: Columns, rows: Any) -> Columns:
    """Rows of all columns, by a slice or a mask."""
    taken: Columns = {}
    for name, column in columns.items():
        if isinstance(column, Words):
            taken[name] = Words(column.codes[rows], column.texts)
        elif isinstance(rows, slice) or isinstance(column, np.ndarray):
            taken[name] = column[rows]
        else:
            taken[name] = column.filter(rows)
    return taken


def matches(layout: Layout, lines: list[str], share: float = 0.9) -> bool:
    """Whether at least that share of lines, and one, are records of the layout."""
    record = re.compile(layout.looks)
    return bool(lines) and sum(record.match(line) is not None for line in lines) >= share * len(lines)


def _hollow(column: Any, kind: str) -> bool:
    """Whether a required column holds something that only looks like a value."""
    import pyarrow.compute as pc

    if kind == "float":
        return not pc.all(pc.is_finite(column)).as_py()
    return kind in ("text", "line") and bool(pc.any(pc.equal(column, "")).as_py())


def _unquote(column: Any) -> Any:
    import pyarrow.compute as pc

    quoted = pc.starts_with(column, b'"')
    inner = pc.replace_substring(pc.replace_substring_regex(column, r'^"(.*)"$', r"\1"), '""', '"')
    return pc.if_else(quoted, inner, column)


def _example(line: int, text: Any) -> str:
    shown = text.as_py()[:80].decode("utf-8", "backslashreplace").rstrip()
    return f"line {line}: {shown!r}"
