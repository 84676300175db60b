"""A block of an access log as columns: scan it by a `LogFormat`, then ask for numbers, times, words and texts.

    >>> fields = scan(parse_log_format("combined"), block)
    >>> fields.integers("status"), fields.stamps(), fields.texts("$request_uri")

Importing this module imports numba.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UnknownNameError
from ..readers.base.fields import Words
from .kernels.json import scan_json
from .kernels.numbers import fill_integers, fill_reals, fill_seconds
from .kernels.request_line import PARTS, split_requests
from .kernels.search import line_bounds
from .kernels.stamps import fill_stamps
from .kernels.strings import ESCAPE_CODES, find_words, join
from .kernels.text import Code, cut_values, encode, scan_text
from .kernels.verdicts import BAD, BINARY, BLANK, FITS, LONG, MENDED, TORN
from .log_format import LogFormat, Part, split_template
from .siphash import fill_siphashes
from .variables import TIMES

__all__ = ["REASONS", "Fields", "scan"]

REASONS = {
    BAD: "does not fit the log_format",
    TORN: "torn last line",
    LONG: "longer than 1 MiB",
    BINARY: "binary",
}
"""Why a line is bad."""

_SHOWN_BYTES, _SHOWN_LINES = 80, 3
_LATEST_S = 1e11

_Offsets = npt.NDArray[np.int64]


class Fields:
    """The lines of a block that fit the format, in order; made by `scan`.

    Variables are named without ``$``. Where ``$request`` is logged, ``request_method``, ``request_uri`` and
    ``server_protocol`` come of it; they are empty where the request line is no request.

    Attributes
    ----------
    lines : int64[n]
        Numbers of the lines in their file.
    records : int
        Lines that are not blank, good or bad.
    bad : Counter of str
        Lines that do not fit, by reason (`REASONS`).
    examples : list of (str, str)
        Reason and ``line 7: '...'``, at most three of each reason.
    mended : int
        Lines that fit only because a quote inside a value was taken for a part of it.
    """

    def __init__(
        self,
        data: npt.NDArray[np.uint8],
        columns: dict[str, tuple[_Offsets, _Offsets]],
        escape: str,
        lines: npt.NDArray[np.int64],
    ) -> None:
        self.lines = lines
        self.records = len(lines)
        self.bad: Counter[str] = Counter()
        self.examples: list[tuple[str, str]] = []
        self.mended = 0
        self._data, self._columns, self._escape = data, columns, escape

    def __len__(self) -> int:
        return len(self.lines)

    def has(self, variable: str) -> bool:
        """Whether the format holds a variable, or what it comes of."""
        return variable in self._columns or (variable in PARTS and "request" in self._columns)

    def blank(self, variable: str) -> npt.NDArray[np.bool_]:
        """Return where a variable is ``-`` or nothing, bool[n]."""
        begins, ends = self._offsets(variable)
        dash = self._data[np.minimum(begins, len(self._data) - 1)] == ord("-") if len(self._data) else np.zeros(0, bool)
        return np.asarray((ends == begins) | ((ends - begins == 1) & dash))

    def integers(self, variable: str, missing: int = -1) -> npt.NDArray[np.int64]:
        """Return a column of whole numbers; `missing` for ``-``, nothing, and what is no number."""
        out = np.empty(len(self), np.int64)
        fill_integers(self._data, *self._offsets(variable), missing, out)
        return out

    def reals(self, variable: str) -> npt.NDArray[np.float64]:
        """Return a column of real numbers; NaN for ``-``, nothing, and what is no number."""
        out = np.empty(len(self))
        fill_reals(self._data, *self._offsets(variable), out)
        return out

    def seconds(self, variable: str) -> npt.NDArray[np.float64]:
        """As `reals`, where lists add up: ``0.001, 0.004 : -`` is 0.005."""
        out = np.empty(len(self))
        fill_seconds(self._data, *self._offsets(variable), out)
        return out

    def stamps(self) -> tuple[npt.NDArray[np.float64], bool]:
        """Return when each request ended and whether that is known to the second only.

        Numbers too large to be seconds before the year 5138 are milliseconds, micro- or nanoseconds.

        Returns
        -------
        float64[n]
            Unix seconds, of the most exact variable of `TIMES` that the format has; NaN where it cannot be read or
            is thousands of years away, and everywhere if there is none.
        bool
            No value has a fraction.
        """
        out = np.full(len(self), np.nan)
        variable = next((name for name in TIMES if name in self._columns), None)
        if variable is None:
            return out, True
        whole = bool(fill_stamps(self._data, *self._offsets(variable), out))
        for _ in range(3):
            finer = out >= _LATEST_S
            if not finer.any():
                break
            out[finer] /= 1000
            whole = whole and bool((out[finer] % 1 == 0).all())
        out[abs(out) >= _LATEST_S] = np.nan
        return out, whole

    def words(self, variable: str) -> Words:
        """Return a column of few distinct texts, numbered as they appear; ``-`` is a text as any other."""
        begins, ends = self._offsets(variable)
        codes, firsts = np.empty(len(self), np.int32), np.empty(len(self), np.int64)
        table = np.zeros(1 << (2 * len(self) + 1).bit_length(), np.int32)
        count = find_words(self._data, begins, ends, table, codes, firsts)
        first = firsts[:count]
        texts = _valid_utf8(*self._joined((Part(variable, True),), [(begins[first], ends[first])])).to_pylist()
        # What differs by its escapes only is one word.
        distinct = list(dict.fromkeys(texts))
        if len(distinct) < count:
            number = {text: k for k, text in enumerate(distinct)}
            codes = np.array([*(number[text] for text in texts), -1], np.int32)[codes]
        return Words(codes, [*distinct, ""])

    def texts(self, *pieces: str) -> Any:
        r"""Return the concatenation of pieces, per line, with escapes undone.

        Parameters
        ----------
        *pieces : str
            Variables (``"$scheme"``), literals, or templates of both.

        Returns
        -------
        pyarrow.LargeStringArray
            Bytes that are not UTF-8 are spelt ``\xHH``.
        """
        return _valid_utf8(*self._joined(*self._resolved(pieces)))

    def hashes(self, *pieces: str, salt: int) -> npt.NDArray[np.uint64]:
        """Return SipHash-2-4 of the bytes of `texts`, with `salt` (its lowest 128 bits) as the key."""
        offsets, data = self._joined(*self._resolved(pieces))
        key = np.array([salt & (1 << 64) - 1, salt >> 64 & (1 << 64) - 1], np.uint64)
        out = np.empty(len(self), np.uint64)
        fill_siphashes(offsets, data, key, out)
        return out

    def _offsets(self, variable: str) -> tuple[_Offsets, _Offsets]:
        if variable not in self._columns and self.has(variable):
            begins, ends = np.empty((2, len(PARTS), len(self)), np.int64)
            split_requests(self._data, *self._columns["request"], begins, ends)
            for name, begin, end in zip(PARTS, begins, ends, strict=True):
                self._columns.setdefault(name, (begin, end))
        if variable not in self._columns:
            raise UnknownNameError("variable", variable, self._columns, "The log_format does not hold it.")
        return self._columns[variable]

    def _resolved(self, pieces: tuple[str, ...]) -> tuple[tuple[Part, ...], list[tuple[_Offsets, _Offsets]]]:
        parts = tuple(part for piece in pieces for part in split_template(piece))
        return parts, [self._offsets(part.text) for part in parts if part.is_variable]

    def _joined(
        self, parts: tuple[Part, ...], offsets: list[tuple[_Offsets, _Offsets]]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Return the texts of `parts` as offsets and bytes; `offsets` are those of the variables among them."""
        code = encode(parts, "none")
        n = len(offsets[0][0]) if offsets else len(self)
        begins = np.stack([begin for begin, _ in offsets]) if offsets else np.empty((0, n), np.int64)
        ends = np.stack([end for _, end in offsets]) if offsets else np.empty((0, n), np.int64)
        out = np.empty(int((ends - begins).sum()) + n * len(code.literals), np.uint8)
        bounds = np.empty(n + 1, np.int64)
        join(self._data, begins, ends, code.literals, code.bounds, ESCAPE_CODES[self._escape], out, bounds)
        return bounds, out[: bounds[-1]]


def scan(log_format: LogFormat, block: bytes, first_line: int = 1) -> Fields:
    """Cut the lines of a block.

    Parameters
    ----------
    log_format : LogFormat
    block : bytes
        Whole lines, with the line ends of any system but the old Macintosh's; the last may lack its end.
    first_line : int
        Number of the first line in its file, from 1.
    """
    data = np.frombuffer(block, np.uint8)
    torn = len(data) > 0 and data[-1] != ord("\n")
    starts, stops = np.empty((2, block.count(b"\n") + torn), np.int64)
    line_bounds(data, starts, stops)
    verdicts = np.empty(len(starts), np.uint8)
    codes, names, bounds = _encoded(log_format)
    rows = len(codes) if log_format.is_json else len(codes[0].widths)
    begins, ends = np.empty((2, rows, len(starts)), np.int64)
    if log_format.is_json:
        n = scan_json(data, starts, stops, names, bounds, verdicts, begins, ends)
    else:
        n = scan_text(data, starts, stops, codes[0], verdicts, begins, ends)
    begins, ends = begins[:, :n], ends[:, :n]
    if log_format.is_json:
        columns = _inner(log_format, codes, data, begins, ends)
    else:
        columns = _first_of_each([part.text for part in log_format.parts if part.is_variable], begins, ends)
    if torn and verdicts[-1] in (BAD, BINARY):
        verdicts[-1] = TORN
    fits = (verdicts == FITS) | (verdicts == MENDED)
    fields = Fields(data, columns, log_format.escape, first_line + np.flatnonzero(fits))
    fields.records = int(np.count_nonzero(verdicts != BLANK))
    fields.mended = int(np.count_nonzero(verdicts == MENDED))
    for verdict, reason in REASONS.items():
        where = np.flatnonzero(verdicts == verdict)
        if len(where):
            fields.bad[reason] = len(where)
        for i in where[:_SHOWN_LINES]:
            shown = block[starts[i] : min(stops[i], starts[i] + _SHOWN_BYTES)].decode("utf-8", "backslashreplace")
            fields.examples.append((reason, f"line {first_line + int(i)}: {shown!r}"))
    return fields


@lru_cache(maxsize=64)
def _encoded(log_format: LogFormat) -> tuple[list[Code], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the format of the line or, for JSON, of each value with the names of the keys."""
    if not log_format.is_json:
        return [encode(log_format.parts, log_format.escape)], np.empty(0, np.uint8), np.zeros(1, np.int64)
    keys = [key.encode() for key, _ in log_format.keys]
    codes = [encode(parts, "none") for _, parts in log_format.keys]
    return codes, np.frombuffer(b"".join(keys), np.uint8), np.cumsum([0, *map(len, keys)])


def _inner(
    log_format: LogFormat, codes: list[Code], data: npt.NDArray[np.uint8], begins: _Offsets, ends: _Offsets
) -> dict[str, tuple[_Offsets, _Offsets]]:
    """Return the offsets of the variables within the values of JSON keys."""
    names: list[str] = []
    inner: list[tuple[_Offsets, _Offsets]] = []
    for (_, parts), code, begin, end in zip(log_format.keys, codes, begins, ends, strict=True):
        names += [part.text for part in parts if part.is_variable]
        if len(parts) == 1:
            inner.append((begin, end))
            continue
        cut_begins, cut_ends = np.empty((2, len(code.widths), len(begin)), np.int64)
        cut_values(data, begin, end, code, cut_begins, cut_ends)
        inner += zip(cut_begins, cut_ends, strict=True)
    return _first_of_each(names, *zip(*inner, strict=True))


def _first_of_each(names: list[str], begins: Any, ends: Any) -> dict[str, tuple[_Offsets, _Offsets]]:
    """A variable that is logged twice is read where it stands first."""
    columns: dict[str, tuple[_Offsets, _Offsets]] = {}
    for name, begin, end in zip(names, begins, ends, strict=True):
        columns.setdefault(name, (begin, end))
    return columns


def _valid_utf8(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> Any:
    """Return the texts; bytes that are not UTF-8 are spelt in hexadecimal, so that different keys stay different."""
    import pyarrow as pa

    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    column = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
    try:
        return column.cast(pa.large_string())
    except pa.ArrowInvalid:
        texts = [value.decode("utf-8", "backslashreplace") for value in column.to_pylist()]
        return pa.array(texts, pa.large_string())
