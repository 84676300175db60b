"""CSV with named or numbered columns.

The delimiter (``,`` tab ``;`` ``|``) and whether there is a header are told by the first
line. Keys are integers if all keys sampled from the file are, else text.
"""

from __future__ import annotations

import csv as stdlib_csv
from typing import Any, ClassVar

import numpy as np

from ..batch import Batch
from ..errors import FormatError, UsageError
from .base.columns import ROLE_OPTIONS, ROLES, assign, key_kind, time_scale
from .base.fields import Columns
from .base.layout import Field, Layout
from .base.operations import answers, operations, truths
from .base.registry import trace_format
from .base.sniff import LIKELY, POSSIBLE, Head
from .base.source import Source
from .base.text import TextReader

__all__ = ["Csv"]

_DELIMITERS = ",\t;|"
_KINDS = {
    "time": "float",
    "size": "size",
    "op": "word",
    "ttl": "float",
    "cost": "float",
    "prediction": "loose",
    "known": "word",
    "logged": "word",
}
_MISSING = {"op": 0.0, "ttl": np.inf, "prediction": np.nan, "known": 0.0, "logged": 0.0}


@trace_format(
    "csv",
    title="CSV by column name",
    description="key and, if there are, time, size, op, ttl, cost, prediction by usual names or options",
    source="https://www.rfc-editor.org/rfc/rfc4180",
    suffixes=(".csv", ".tsv"),
)
class Csv(TextReader):
    """Reader of delimited text with a header, or with columns given by number."""

    OPTIONS: ClassVar = {
        **ROLE_OPTIONS,
        "delimiter": "one character, or tab; by default the commonest of , tab ; | in the first line",
        "header": "yes or no; by default yes if the first line has a usual name, or no number but the second has",
        "key_type": "int, text or auto (default: int if all sampled keys are)",
    }

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        first, second, *_ = [*source.sampled_lines()[:2], "", ""]
        wanted = str(options.get("delimiter") or _commonest(first))
        delimiter = "\t" if wanted in ("tab", "\\t") else wanted
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
            raise UsageError(f"{self.path}: delimiter {wanted!r} is not one character, such as ; or tab")
        names = _split(first, delimiter)
        self.header_lines = int(_has_header(names, _split(second, delimiter), options))
        at = assign(self.path, names if self.header_lines else [""] * len(names), options)
        self._scale = time_scale(names[at["time"]] if "time" in at else "", options)
        fields = {role: Field(at[role], kind, _MISSING.get(role)) for role, kind in _KINDS.items() if role in at}
        kind = key_kind(self._sampled(at["key"], delimiter), str(options.get("key_type", "auto")))
        if "time" in at and not self._numeric(at["time"], delimiter):
            raise FormatError(
                self.path, f"the time column {names[at['time']]!r} holds no numbers", hint="Ignore it: time=none."
            )
        fields["key"] = Field(at["key"], kind)
        self.layout = Layout(fields, delimiter, quoted=True)

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Likely if the first line names the key; possible if all lines have as many delimiters."""
        if not head.lines:
            return 0.0
        delimiter = _commonest(head.lines[0])
        names = _split(head.lines[0], delimiter)
        if _known(names, "key") and not any(_is_real(name) for name in names):
            return LIKELY
        counts = [line.count(delimiter) for line in head.lines]
        return POSSIBLE * (counts[0] > 0 and counts.count(counts[0]) == len(counts))

    def batch(self, fields: Columns) -> Batch:
        """Take the columns over, time in seconds."""
        single = {role: fields[role].astype(np.float32) for role in ("ttl", "cost") if role in fields}
        return Batch(
            keys=fields["key"],
            sizes=fields.get("size"),
            times=fields["time"] * self._scale if "time" in fields else None,
            ttls=single.get("ttl"),
            costs=single.get("cost"),
            ops=operations(fields["op"]) if "op" in fields else None,
            predictions=fields.get("prediction"),
            known=truths(fields["known"]) if "known" in fields else None,
            logged=answers(fields["logged"]) if "logged" in fields else None,
        )

    def _sampled(self, position: int, delimiter: str) -> list[str]:
        rows = (_split(line, delimiter) for line in self.source.sampled_lines()[self.header_lines :])
        return [row[position] for row in rows if len(row) > position]

    def _numeric(self, position: int, delimiter: str) -> bool:
        values = self._sampled(position, delimiter)
        return not values or any(_is_real(value) for value in values)

    def _advice(self) -> str:
        if self.layout.fields["key"].kind == "key":
            return "If some keys are no integers, read all as text: key_type=text. "
        return "Ignore a column that is at fault, for example size=none. "


def _commonest(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(stdlib_csv.reader([line.replace("\0", "")], delimiter=delimiter), [])
    except stdlib_csv.Error:  # a field of more than 128 KiB
        return []


def _known(names: list[str], role: str) -> set[str]:
    return {name.strip().lower() for name in names} & set(ROLES[role].split())


def _has_header(names: list[str], second: list[str], options: dict[str, Any]) -> bool:
    wanted = str(options.get("header", "auto")).lower()
    if wanted in ("yes", "true", "1"):
        return True
    if wanted in ("no", "false", "0"):
        return False
    if wanted != "auto":
        raise UsageError(f"header={wanted!r} is neither yes nor no")
    given = {str(options[role]).lower() for role in ROLES if not str(options.get(role, 0)).isdecimal()}
    if _known(names, "key") or given & {name.strip().lower() for name in names}:
        return True
    return not any(map(_is_real, names)) and any(map(_is_real, second))


def _is_real(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
