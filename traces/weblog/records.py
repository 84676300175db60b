"""The lines of a log as columns, gathered block by block and file by file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..densify import Densifier
from ..readers.base.fields import Words

__all__ = ["COLUMNS", "Records", "Vocabulary"]

COLUMNS: dict[str, tuple[Any, float]] = {
    "end_s": (np.float64, np.nan),
    "coarse": (np.bool_, 0),
    "duration_s": (np.float64, np.nan),
    "status": (np.int16, 0),
    "method": (np.uint8, 0),
    "unnamed": (np.bool_, 0),
    "body": (np.int64, -1),
    "length": (np.int64, -1),
    "total": (np.int64, -1),
    "gzip_ratio": (np.float32, np.nan),
    "upstream_s": (np.float32, np.nan),
    "logged": (np.uint8, 0),
    "barred": (np.uint8, 0),
    "ttl_s": (np.float32, np.nan),
    "dated": (np.bool_, 0),
}
"""Column -> dtype, and the value of what a line does not say. Bytes are those of the body that was sent (``body``), of
the whole object by Content-Length (``length``) or Content-Range (``total``). ``unnamed``: nothing names the object;
``barred``: why headers forbid storing."""


class Vocabulary:
    """Numbers for few distinct words, in order of first appearance; 0 is the empty one.

    Attributes
    ----------
    words : list of str
    """

    def __init__(self) -> None:
        self.words = [""]
        self._codes = {"": 0}

    def code(self, word: str) -> int:
        """The number of a word; from the 256th on all share the last one."""
        if word not in self._codes and len(self.words) < 255:
            self._codes[word] = len(self.words)
            self.words.append(word)
        elif word not in self._codes:
            self._codes[word] = 255
            self.words[255:] = ["(others)"]
        return self._codes[word]

    def codes(self, words: Words) -> npt.NDArray[np.uint8]:
        """The numbers of a column of words, uint8[n]."""
        return np.array([self.code(text) for text in words.texts], np.uint8)[words.codes]


class Records:
    """Lines of one log, in the order in which they were taken in.

    Attributes
    ----------
    methods, reasons : Vocabulary
        What ``method`` and ``barred`` count.
    """

    def __init__(self) -> None:
        self.methods, self.reasons = Vocabulary(), Vocabulary()
        self._densifier = Densifier()
        self._ids: list[npt.NDArray[np.int32]] = []
        self._columns: dict[str, list[tuple[int, Any]]] = {}

    def append(self, keys: Any, **columns: npt.NDArray[Any] | None) -> None:
        """Take in some lines.

        Parameters
        ----------
        keys : uint64[m] or pyarrow string array
        **columns : [m] or None
            Of `COLUMNS`; one that is missing here and present elsewhere has its "does not say".
        """
        self._ids.append(self._densifier(keys))
        for name, values in columns.items():
            if values is not None:
                chunk = np.asarray(values).astype(COLUMNS[name][0], copy=False)
                self._columns.setdefault(name, []).append((len(self._ids) - 1, chunk))

    def __len__(self) -> int:
        return sum(map(len, self._ids))

    @property
    def ids(self) -> npt.NDArray[np.int32]:
        """Number of each line's key, int32[n]."""
        return np.concatenate(self._ids) if self._ids else np.empty(0, np.int32)

    def keys(self) -> Any:
        """The key of each number: uint64[n_objects] or a pyarrow string array."""
        return self._densifier.keys()

    def lacking(self, name: str) -> int:
        """How many lines are from where a column is not logged."""
        having = {i for i, _ in self._columns.get(name, ())}
        return sum(len(ids) for i, ids in enumerate(self._ids) if i not in having)

    def column(self, name: str) -> npt.NDArray[Any] | None:
        """One column of all lines, or None if no line has it; what counts as GET, or as 200, is so where it is not logged."""
        if name not in self._columns:
            return None
        dtype, missing = COLUMNS[name]
        if name == "method":
            missing = self.methods.code("GET")
        elif name == "status":
            missing = 200
        chunks = dict(self._columns[name])
        return np.concatenate(
            [chunks.get(i, np.full(len(ids), missing, dtype)) for i, ids in enumerate(self._ids)], dtype=dtype
        )
