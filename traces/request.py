"""A request trace: who was asked for, in which order, and what is known about each request."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .batch import Batch
from .errors import TraceError
from .given import checked
from .normalise import COLUMNS
from .provenance import Provenance

__all__ = ["BATCH_REQUESTS", "RequestTrace", "no_requests"]

BATCH_REQUESTS = 1 << 20
"""How many requests are handed on at a time."""


@dataclass(frozen=True, eq=False, repr=False)
class RequestTrace:
    """A frozen set of columns, one value per request; what is unknown is None.

    Made by `evictlab.traces.open_trace`, by a generator, or by `from_columns`.
    Arrays are read-only and may be maps of a file that is larger than memory.

    Attributes
    ----------
    ids : int32[n_requests]
        Dense object numbers 0 .. n_objects - 1 in order of first appearance.
    n_objects : int
    sizes : int64[n_requests] or None
        Bytes, at least 1.
    times : float64[n_requests] or None
        Seconds from any origin; never decreasing.
    ttls : float32[n_requests] or None
        Seconds that the object stays fresh, ``inf`` for ever.
    costs : float32[n_requests] or None
        Seconds that a miss takes at the origin.
    ops : uint8[n_requests] or None
        `GET`, `SET` or `OTHER` of `evictlab.traces.batch`.
    predictions : float64[n_requests] or None
        A bit, or the index of the object's next request; NaN is missing. Passed on as
        read: of a slice or a sample too, an index counts the requests of the source.
    known : bool[n_requests] or None
        Whether the source states the size of this request; False where it was concluded from others.
    logged : uint8[n_requests] or None
        What the real cache answered, an index into `evictlab.traces.batch.LOGGED`.
    key_source : array, or a callable without arguments that returns it
        See `keys`.
    provenance : Provenance
        Source, reader, and the account of dropped and repaired records.

    Raises
    ------
    TraceError
        No requests, or columns of unequal length.
    """

    ids: npt.NDArray[np.int32]
    n_objects: int
    sizes: npt.NDArray[np.int64] | None = None
    times: npt.NDArray[np.float64] | None = None
    ttls: npt.NDArray[np.float32] | None = None
    costs: npt.NDArray[np.float32] | None = None
    ops: npt.NDArray[np.uint8] | None = None
    predictions: npt.NDArray[np.float64] | None = None
    known: npt.NDArray[np.bool_] | None = None
    logged: npt.NDArray[np.uint8] | None = None
    key_source: Any = None
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if len(self.ids) == 0:
            raise no_requests(self.provenance)
        for name in ("ids", *COLUMNS):
            column = getattr(self, name)
            if column is None:
                continue
            if len(column) != len(self.ids):
                raise TraceError(f"{name} has {len(column):,} values for {len(self.ids):,} requests")
            object.__setattr__(self, name, _read_only(column))

    @classmethod
    def from_columns(
        cls,
        keys: Any,
        sizes: Any = None,
        times: Any = None,
        ttls: Any = None,
        costs: Any = None,
        ops: Any = None,
        predictions: Any = None,
        known: Any = None,
        logged: Any = None,
        *,
        name: str = "",
        notes: Sequence[str] = (),
        provenance: Provenance | None = None,
    ) -> RequestTrace:
        """Make a trace from columns in memory.

        Parameters
        ----------
        keys : sequence of int or of str
            A list, NumPy array, pandas Series or pyarrow array, length n.
        sizes, times, ttls, costs, ops, predictions, known, logged : sequence, optional
            As the attributes of the class, length n. Sizes of 0, times that go
            backwards and deletes are treated as in a file (`normalise`): the
            account in `provenance` says how many there were.
        name : str
            What tables and plots call the trace.
        notes : sequence of str
            Facts that a user should see with it.
        provenance : Provenance, optional
            Instead of `name` and `notes`.

        Raises
        ------
        TraceError
            No requests, unequal lengths, negative sizes, values that are not
            numbers, or more than 2^31 - 1 objects.
        """
        from .assemble import assemble
        from .densify import as_key_column

        keys = as_key_column(keys)
        given = (sizes, times, ttls, costs, ops, predictions, known, logged)
        columns = {name: checked(name, values, len(keys)) for name, values in zip(COLUMNS, given, strict=True)}
        if provenance is None:
            provenance = Provenance(name=name)
            provenance.account.notes.extend(notes)
        provenance.account.records += len(keys)
        return assemble([Batch(keys, **columns)], provenance)

    @property
    def name(self) -> str:
        """What tables and plots call the trace."""
        return self.provenance.name

    @property
    def n_requests(self) -> int:
        """Number of requests."""
        return len(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def duration_s(self) -> float | None:
        """Seconds from the first request to the last; None without times."""
        return None if self.times is None else float(self.times[-1] - self.times[0])

    @functools.cached_property
    def keys(self) -> Any:
        """The key of each object, uint64[n_objects] or a pyarrow string array; read when first asked for."""
        if self.key_source is None:
            return np.arange(self.n_objects, dtype=np.uint64)
        return _read(self.key_source)

    @functools.cached_property
    def next_use(self) -> npt.NDArray[Any]:
        """Position of the next request for the same object, or the dtype's largest value for never.

        int32[n_requests], or int64 from 2^31 - 1 requests on; one pass when first asked for.
        """
        from .reuse import fill_next_use

        dtype = self._position_dtype
        next_use = np.empty(self.n_requests, dtype)
        fill_next_use(self.ids, np.full(self.n_objects, np.iinfo(dtype).max, dtype), next_use)
        return _read_only(next_use)

    @functools.cached_property
    def prev_use(self) -> npt.NDArray[Any]:
        """Position of the request before for the same object, or -1; dtype as `next_use`."""
        from .reuse import fill_prev_use

        dtype = self._position_dtype
        prev_use = np.empty(self.n_requests, dtype)
        fill_prev_use(self.ids, np.full(self.n_objects, -1, dtype), prev_use)
        return _read_only(prev_use)

    @property
    def _position_dtype(self) -> type[np.int32] | type[np.int64]:
        return np.int32 if self.n_requests < 2**31 - 1 else np.int64

    @functools.cached_property
    def object_sizes(self) -> npt.NDArray[np.int64] | None:
        """Bytes of each object, int64[n_objects], the largest size seen; None without sizes."""
        if self.sizes is None:
            return None
        from .reuse import largest_sizes

        largest = np.zeros(self.n_objects, np.int64)
        largest_sizes(self.ids, self.sizes, largest)
        return _read_only(largest)

    @functools.cached_property
    def footprint_bytes(self) -> int | None:
        """Bytes that hold all objects at once, each at its largest; None without sizes."""
        if self.object_sizes is None:
            return None
        # In halves of 32 bits, because the sum of many large sizes need not fit in 64.
        high, low = self.object_sizes >> 32, self.object_sizes & 0xFFFFFFFF
        return (int(high.sum()) << 32) + int(low.sum())

    def __getitem__(self, which: slice) -> RequestTrace:
        """The requests ``trace[a:b]`` as a trace of their own, with ids numbered afresh."""
        if not isinstance(which, slice) or which.step not in (None, 1):
            raise TypeError("a trace is sliced as trace[start:stop]")
        start, stop, _ = which.indices(self.n_requests)
        return self.select(slice(start, stop), f"requests {start:,} to {stop:,} of {self.n_requests:,}")

    def select(self, which: npt.NDArray[Any] | slice, note: str = "") -> RequestTrace:
        """A trace of some of the requests, with ids numbered afresh.

        Parameters
        ----------
        which : bool[n_requests], or slice, or positions in the order in which they are wanted
            Positions must not make times go backwards, unless these are replaced.
        note : str
            Goes into the account, so that results say what they were made from.

        Raises
        ------
        TraceError
            No request is left.
        """
        from .reuse import renumber

        kept = np.ascontiguousarray(self.ids[which])
        dense, old = np.empty(len(kept), np.int32), np.empty(min(len(kept), self.n_objects), np.int32)
        count = int(renumber(kept, np.full(self.n_objects, -1, np.int32), dense, old))
        columns = {name: None if (c := getattr(self, name)) is None else c[which] for name in COLUMNS}
        provenance = self.provenance.noted(note) if note else self.provenance
        # The keys of all objects are remembered, not the trace: a slice that travels takes only these along.
        source = _SomeKeys(self.keys if self.key_source is None else self.key_source, old[:count].copy())
        return RequestTrace(dense, count, key_source=source, provenance=provenance, **columns)

    def batches(self, requests: int = BATCH_REQUESTS) -> Iterator[Batch]:
        """The trace piece by piece, with keys instead of ids, as a reader would give it."""
        for start in range(0, self.n_requests, requests):
            part = slice(start, start + requests)
            keys, ids = self.keys, self.ids[part]
            columns = {name: None if (c := getattr(self, name)) is None else c[part] for name in COLUMNS}
            yield Batch(keys[ids] if isinstance(keys, np.ndarray) else keys.take(ids), **columns)

    def __repr__(self) -> str:
        facts = ", ".join(f"{what}={value}" for what, value in self._facts())
        return f"RequestTrace({facts})"

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in self._facts())
        return f"<table>{rows}</table>"

    def _facts(self) -> list[tuple[str, str]]:
        from .units import format_bytes, format_duration

        account = self.provenance.account
        facts = [
            ("name", self.name or "?"),
            ("requests", f"{self.n_requests:,}"),
            ("objects", f"{self.n_objects:,}"),
            ("columns", " ".join(name for name in COLUMNS if getattr(self, name) is not None) or "ids only"),
        ]
        if self.footprint_bytes is not None:
            facts.append(("footprint", format_bytes(self.footprint_bytes)))
        if self.duration_s is not None:
            facts.append(("duration", format_duration(self.duration_s)))
        for what in ("dropped", "repaired"):
            if count := sum(getattr(account, what).values()):
                facts.append((what, f"{count:,}"))
        return facts


@dataclass(frozen=True)
class _SomeKeys:
    """Keys of a selection, looked up among those of the whole trace when first asked for."""

    source: Any
    old_ids: npt.NDArray[np.int32]

    def __call__(self) -> Any:
        keys = _read(self.source)
        return keys[self.old_ids] if isinstance(keys, np.ndarray) else keys.take(self.old_ids)


def _read(key_source: Any) -> Any:
    return key_source() if callable(key_source) else key_source


def _read_only(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = column.view()
    view.flags.writeable = False
    return view


def no_requests(provenance: Provenance) -> TraceError:
    """Return the error for a trace of which nothing is left."""
    account = provenance.account
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in account.dropped.most_common())
    lost = f": of {account.records:,} records were dropped {reasons}" if reasons else ""
    return TraceError(f"the trace {provenance.name!r} has no requests{lost}")
