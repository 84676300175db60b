"""Lines of delimited fields: a layout says what stands where, and the rest is done here.

Blocks of lines go through Arrow's CSV parser straight into typed columns. Of a block
that does not parse, the lines that do not match the layout's regular expression are
counted with their numbers, and the others are parsed again. What the parser still
cannot take (numbers below 0 beside numbers above 2^63, ``512.0`` as a size, lines of
unequal width) is captured by the same expression, at a tenth of the speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...batch import Batch
from .fields import Columns, Words, length, take
from .layout import BLANKS, Layout, typical
from .reader import BATCH_RECORDS, TORN, Reader
from .sniff import CERTAIN, Head
from .values import KINDS, arrow_type, from_text, is_hollow, numpy_column

__all__ = ["TextReader"]


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

    _signed_keys = False
    """Whether the last block's keys were signed: that is tried first on the next one."""

    def batch(self, fields: Columns) -> Batch | Iterator[Batch]:
        """Turn the fields of at most `BATCH_RECORDS` lines into one batch, or several."""
        return Batch(keys=fields["key"])

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure if nine of ten lines match the layout."""
        return CERTAIN * bool(typical(cls.layout, head.lines[cls.header_lines :]))

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
            else:
                self.account.records += length(columns)
            for start in range(0, length(columns), BATCH_RECORDS):
                made = self.batch(take(columns, slice(start, start + BATCH_RECORDS)))
                if isinstance(made, Batch):
                    yield made
                else:
                    yield from made

    @cached_property
    def _delimiter(self) -> str:
        """The one character between fields, where there is one."""
        tabs = self.layout.delimiter == BLANKS and b"\t" in self.source.head.partition(b"\n")[0]
        return "\t" if tabs else self.layout.delimiter

    def _parse(self, block: bytes | memoryview) -> Columns | None:
        """Return the typed columns of a block, or None if any line of it is out of order."""
        for signed in (self._signed_keys, not self._signed_keys):
            columns = self._typed(block, signed)
            if columns is not None:
                self._signed_keys = signed
                return columns
            if not any(field.kind == "key" for field in self.layout.fields.values()):
                break
        return None

    def _typed(self, block: bytes | memoryview, signed: bool) -> Columns | None:
        """As `_parse`, with keys taken for signed or unsigned numbers."""
        import pyarrow as pa
        from pyarrow import csv

        fields = self.layout.fields
        names = {name: f"f{field.position}" for name, field in fields.items()}
        types = {names[name]: arrow_type(field.kind, signed) for name, field in fields.items()}
        try:
            table = csv.read_csv(
                pa.BufferReader(block),
                csv.ReadOptions(autogenerate_column_names=True),
                csv.ParseOptions(delimiter=self._delimiter, quote_char='"' if self.layout.quoted else False),
                csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[""]),
            )
        except (pa.ArrowException, KeyError):
            return None
        found = {name: table.column(i) for i, name in enumerate(names)}
        if any(field.missing is None and is_hollow(found[name], field.kind) for name, field in fields.items()):
            return None
        columns = self._plain(found)
        return columns if self._in_range(columns).all() else None

    def _sift(self, first_line: int, block: bytes) -> Columns:
        """Return the columns of the lines of a block that are in order; count the others."""
        import pyarrow as pa
        import pyarrow.compute as pc

        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        torn = not block.endswith(b"\n")
        bounds = np.concatenate(([0], ends + 1, [len(block)] if torn else [])).astype(np.int32)
        lines = pa.Array.from_buffers(pa.binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(block)])

        def matching(pattern: str) -> npt.NDArray[np.bool_]:
            return np.asarray(pc.match_substring_regex(lines, pattern).to_numpy(zero_copy_only=False))

        pending = ~matching(r"^\s*$")
        self.account.records += int(pending.sum())
        for pattern, why in self.skipped.items():
            skip = pending & matching(pattern)
            self.drop(why, int(skip.sum()))
            pending &= ~skip
        good = pending & matching(self.layout.pattern)
        bad = pending & ~good
        if torn and bad[-1]:
            bad[-1] = False
            self.drop(TORN, 1, [_example(first_line + len(lines) - 1, lines[-1])])
        kept = lines.filter(pa.array(good))
        columns = None
        if len(kept):
            end = int(np.frombuffer(kept.buffers()[1], np.int32, len(kept) + 1)[-1])
            columns = self._parse(memoryview(kept.buffers()[2])[:end])
        if columns is None:
            columns = self._captured(kept)
            in_range = self._in_range(columns)
            if not in_range.all():
                bad[np.flatnonzero(good)[~in_range]] = True
                columns = take(columns, in_range)
        where = np.flatnonzero(bad)
        examples = [_example(first_line + int(i), lines[int(i)]) for i in where[:3]]
        self.refuse("unreadable", len(where), examples)
        return columns

    def _captured(self, lines: Any) -> Columns:
        """Return the columns of lines that all match the layout, in whatever spelling."""
        import pyarrow.compute as pc

        found = pc.extract_regex(lines, self.layout.pattern)
        columns = {}
        for name, field in self.layout.fields.items():
            column = found.field(name)
            text = _unquote(column) if self.layout.quoted else column
            columns[name] = from_text(text, field.kind)
            if field.kind == "loose":
                lost = pc.and_(pc.is_null(columns[name]), pc.match_substring_regex(text, r"[^ \t]"))
                self.repair(f"{name} is no number -> missing", pc.sum(lost).as_py() or 0)
        return self._plain(columns)

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
                numbers = numpy_column(column, field.missing or 0)
                plain[name] = numbers.view(np.uint64) if field.kind == "key" else numbers
        return plain

    def _in_range(self, columns: Columns) -> npt.NDArray[np.bool_]:
        """Which rows have all numbers within their ``bits``."""
        fine = np.ones(length(columns), dtype=bool)
        for name, field in self.layout.fields.items():
            if field.bits is not None:
                fine &= columns[name] >> field.bits == 0
        return fine


def _unquote(column: Any) -> Any:
    import pyarrow.compute as pc

    quoted = pc.starts_with(column, b'"')
    inner = pc.replace_substring(pc.replace_substring_regex(column, r'^"(.*)"$', r"\1"), '""', '"')
    return pc.if_else(quoted, inner, column)


def _example(line: int, text: Any) -> str:
    shown = text.as_py()[:80].decode("utf-8", "backslashreplace").rstrip()
    return f"line {line}: {shown!r}"
