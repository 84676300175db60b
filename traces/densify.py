"""Number the keys of a trace 0, 1, 2, ... in order of first appearance.

Dense ids are what makes replay fast: no policy needs a hash table. The tables
outlive the batch, so that a trace of any length is numbered piece by piece
with memory for its objects, not for its requests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import TraceError

__all__ = ["Densifier", "as_key_column", "hash_keys"]

MAX_OBJECTS = 2**31 - 1
"""Ids are int32."""


class Densifier:
    """Hands out dense ids, batch after batch; all batches have integer keys, or all have strings.

    Examples
    --------
    >>> import numpy as np
    >>> densifier = Densifier()
    >>> densifier(np.array([70, 50, 70], dtype=np.uint64)).tolist()
    [0, 1, 0]
    >>> densifier(np.array([50, 90], dtype=np.uint64)).tolist()
    [1, 2]
    >>> densifier.keys().tolist()
    [70, 50, 90]
    """

    def __init__(self) -> None:
        self._table: _Integers | _Strings | None = None

    @property
    def n_objects(self) -> int:
        """Ids handed out so far."""
        return 0 if self._table is None else self._table.count

    def __call__(self, keys: Any) -> npt.NDArray[np.int32]:
        """Number some keys.

        Parameters
        ----------
        keys : uint64[m] or pyarrow string array of length m
            As `as_key_column` returns them.

        Returns
        -------
        int32[m]

        Raises
        ------
        TraceError
            Integers after strings or strings after integers, or more than 2^31 - 1 objects.
        """
        kind = _Integers if isinstance(keys, np.ndarray) else _Strings
        if self._table is None:
            self._table = kind()
        if not isinstance(self._table, kind):
            raise TraceError(
                "the keys are integers in one part of the trace and strings in another; "
                "as strings throughout they would be one kind"
            )
        return self._table.number(keys)

    def keys(self) -> Any:
        """The key of each id: uint64[n_objects], or a pyarrow large_string array."""
        return np.empty(0, np.uint64) if self._table is None else self._table.keys()


def as_key_column(keys: Any) -> Any:
    """Bring keys of any usual type into one of the two that are numbered.

    Parameters
    ----------
    keys : sequence of int or of str
        A list, NumPy array, pandas Series or pyarrow array. Signed integers become
        their uint64 bit pattern.

    Returns
    -------
    uint64[m] or pyarrow string array

    Raises
    ------
    TraceError
        Neither integers nor strings, or some keys are missing.
    """
    if isinstance(keys, np.ndarray) and keys.dtype == np.uint64:
        return np.ascontiguousarray(keys)
    import pyarrow as pa

    try:
        column = keys if isinstance(keys, (pa.Array, pa.ChunkedArray)) else _arrow(keys)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise TraceError(f"keys must be all integers or all strings: {error}") from None
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count:
        raise TraceError(f"{column.null_count} of {len(column)} keys are missing")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_unsigned_integer(column.type):
        return column.cast(pa.uint64()).to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64()).to_numpy(zero_copy_only=False).view(np.uint64)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column
    if pa.types.is_string_view(column.type):
        return column.cast(pa.large_string())
    if len(column) == 0:
        return np.empty(0, np.uint64)
    raise TraceError(f"keys must be integers or strings, not {column.type}")


def _arrow(keys: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.array(keys)
    except OverflowError:  # a list with integers of 2^63 and more
        return pa.array(keys, pa.uint64())


def hash_keys(keys: Any) -> npt.NDArray[np.uint64]:
    """64 well-mixed bits per key, the same on every machine and in every process.

    Parameters
    ----------
    keys : uint64[m] or pyarrow string array of length m

    Returns
    -------
    uint64[m]
    """
    from .mix import mix64

    if isinstance(keys, np.ndarray):
        return np.asarray(mix64(keys), dtype=np.uint64)
    from .id_table import hash_strings

    offsets, data = _string_buffers(keys)
    hashes = np.empty(len(keys), np.uint64)
    hash_strings(offsets, data, hashes)
    return hashes


def _string_buffers(strings: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Offsets (int32 or int64, one more than strings) and bytes of a pyarrow string array, not copied."""
    import pyarrow as pa

    _, offsets, data = strings.buffers()
    width = np.int64 if pa.types.is_large_string(strings.type) else np.int32
    if offsets is None or len(strings) == 0:
        return np.zeros(1, width), np.frombuffer(b"", np.uint8)
    positions = np.frombuffer(offsets, width)[strings.offset : strings.offset + len(strings) + 1]
    return positions, np.frombuffer(b"" if data is None else data, np.uint8)


class _Table:
    """What both kinds share: slots that grow before they are more than half full."""

    def __init__(self) -> None:
        self.count = 0
        self.names = np.empty(2048, np.uint64)
        self.slots = np.zeros((4096, 2), np.uint64)

    def grow(self, mixed: bool) -> None:
        from .id_table import rehash

        if self.count == MAX_OBJECTS:
            raise TraceError("the trace has more than 2^31 - 1 objects; sample it (evictlab trace sample)")
        capacity = len(self.slots) * 2
        del self.slots
        self.names = _longer(self.names, min(capacity // 2, MAX_OBJECTS))
        self.slots = np.zeros((capacity, 2), np.uint64)
        rehash(self.names, self.count, self.slots, mixed)


class _Integers(_Table):
    def number(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        from .id_table import number_keys

        ids = np.empty(len(keys), np.int32)
        keys = keys.view()
        keys.flags.writeable = False  # so that one compiled variant serves all callers
        done, self.count = number_keys(keys, 0, ids, self.slots, self.names, self.count)
        while done < len(keys):
            self.grow(mixed=False)
            done, self.count = number_keys(keys, done, ids, self.slots, self.names, self.count)
        return ids

    def keys(self) -> npt.NDArray[np.uint64]:
        return self.names[: self.count].copy()


class _Strings(_Table):
    def __init__(self) -> None:
        super().__init__()
        self.ends = np.zeros(len(self.names) + 1, np.int64)
        self.arena = np.empty(1 << 16, np.uint8)

    def number(self, strings: Any) -> npt.NDArray[np.int32]:
        offsets, data = _string_buffers(strings)
        ids = np.empty(len(strings), np.int32)
        done = self._number(offsets, data, 0, ids)
        while done < len(ids):
            if self.count == len(self.names):
                self.grow(mixed=True)
                self.ends = _longer(self.ends, len(self.names) + 1)
            else:
                needed = int(self.ends[self.count] + offsets[done + 1] - offsets[done])
                self.arena = _longer(self.arena, max(needed, 2 * len(self.arena)))
            done = self._number(offsets, data, done, ids)
        return ids

    def _number(self, offsets: Any, data: Any, start: int, ids: npt.NDArray[np.int32]) -> int:
        from .id_table import number_strings

        done, self.count = number_strings(
            offsets, data, start, ids, self.slots, self.names, self.ends, self.arena, self.count
        )
        return int(done)

    def keys(self) -> Any:
        import pyarrow as pa

        ends = self.ends[: self.count + 1].copy()
        data = self.arena[: int(ends[-1])].copy()
        return pa.LargeStringArray.from_buffers(self.count, pa.py_buffer(ends), pa.py_buffer(data))


def _longer(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """`array` with room for `length` values; what lies behind the old ones is arbitrary."""
    longer = np.empty(length, array.dtype)
    longer[: len(array)] = array
    return longer
