"""What a real NGINX did with a trace."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...batch import LOGGED, Account
from ...provenance import Provenance
from .config import RealConfig
from .disk import file_bytes
from .driver import uri_of
from .logs import Rounds

if TYPE_CHECKING:
    from ...request import RequestTrace

__all__ = ["LATE_S", "Lateness", "Recording", "Samples"]

LATE_S = 0.02
"""A run in which one request of a hundred was sent later than this measured the driver, too."""

FROM_CACHE = np.array([word in ("HIT", "STALE", "UPDATING") for word in LOGGED])
"""Which of `LOGGED` were answered without waiting for the origin."""


@dataclass(frozen=True)
class Samples:
    """Looks at the folder of the cache.

    Attributes
    ----------
    t_s : float64[n]
        From the start of the run; some looks are before it and after its end.
    allocated_bytes : int64[n]
        What the file system gave to the cached files.
    block_bytes : int64[n]
        Their sizes, each rounded up to whole blocks.
    files : int64[n]
    """

    t_s: npt.NDArray[np.float64]
    allocated_bytes: npt.NDArray[np.int64]
    block_bytes: npt.NDArray[np.int64]
    files: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lateness:
    """How much later than scheduled requests were sent, in seconds."""

    p50_s: float
    p99_s: float
    max_s: float


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """A trace, as a real NGINX answered it; times in seconds from the start of the run.

    Attributes
    ----------
    source : RequestTrace
        What was sent.
    config : RealConfig
    options : dict
        How it was sent: rate, speed, connections, delay of the origin.
    scheduled_s : float64[n_requests] or None
        None in a closed loop.
    sent_s, ended_s : float64[n_requests]
        NaN for requests that were not sent, or not answered.
    status : uint8[n_requests]
        What NGINX logged as ``$upstream_cache_status``, an index into `evictlab.traces.batch.LOGGED`.
    http_status : uint16[n_requests]
        0 where NGINX logged nothing.
    body_bytes : int64[n_requests]
    upstream_s : float32[n_requests]
        Seconds that the origin took, to 1/1000; NaN where it was not asked.
    start_unix_s : float
        The start of the run by the clock of the machine, seconds since 1970: NGINX counts lifetimes in whole ones.
    samples : Samples
        What the folder of the cache weighed.
    rounds : Rounds or None
        With `RealConfig.watch_manager`; times from the start of the run.
    manager_start_s : float
        When the cache manager started, negative: its first round. With the stock manager and nothing to
        do, the next ones follow every 10 s.
    block_bytes : int
        The unit in which NGINX counts.
    version : str
    conf : str
        The configuration.
    warnings : tuple of str
        Lines of NGINX's error log from warnings upwards.
    failed : tuple of (int, str)
        Requests without a whole answer, and why.
    origin : dict
        Requests and body bytes that the origin counted.
    """

    source: RequestTrace
    config: RealConfig
    options: dict[str, Any]
    scheduled_s: npt.NDArray[np.float64] | None
    sent_s: npt.NDArray[np.float64]
    ended_s: npt.NDArray[np.float64]
    status: npt.NDArray[np.uint8]
    http_status: npt.NDArray[np.uint16]
    body_bytes: npt.NDArray[np.int64]
    upstream_s: npt.NDArray[np.float32]
    start_unix_s: float
    samples: Samples
    rounds: Rounds | None
    manager_start_s: float
    block_bytes: int
    version: str
    conf: str
    warnings: tuple[str, ...]
    failed: tuple[tuple[int, str], ...]
    origin: dict[str, int]

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Which requests were answered in full and logged with 200, bool[n_requests]."""
        answered: npt.NDArray[np.bool_] = (self.http_status == 200) & np.isfinite(self.ended_s)
        return answered

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """Which were answered from the cache (HIT, STALE, UPDATING), bool[n_requests]."""
        hits: npt.NDArray[np.bool_] = FROM_CACHE[self.status] & self.answered
        return hits

    @property
    def hit_ratio(self) -> float:
        """Share of the answered requests that came from the cache."""
        return float(self.hits.sum() / max(1, self.answered.sum()))

    @property
    def counts(self) -> dict[str, int]:
        """Answers by the word that NGINX logged; ``""`` where it logged none."""
        found = np.bincount(self.status, minlength=len(LOGGED))
        return {word: int(count) for word, count in zip(LOGGED, found, strict=True) if count}

    @property
    def duration_s(self) -> float:
        """From the first request to the last answer."""
        return float(np.nanmax(self.ended_s) - np.nanmin(self.sent_s))

    @property
    def lateness(self) -> Lateness | None:
        """How late requests were sent; None in a closed loop, in which none can be late."""
        if self.scheduled_s is None:
            return None
        late = np.maximum(self.sent_s - self.scheduled_s, 0.0)
        late = late[np.isfinite(late)]
        return Lateness(*map(float, np.quantile(late, [0.5, 0.99, 1.0])))

    @property
    def punctual(self) -> bool:
        """Whether requests were sent when they should: 99 of 100 within `LATE_S`; True in a closed loop."""
        return self.lateness is None or self.lateness.p99_s <= LATE_S

    @property
    def charged_bytes(self) -> npt.NDArray[np.int64]:
        """What each request's object counts in NGINX's ``max_size`` once it is stored, int64[n_requests].

        The file, which begins with NGINX's own header and that of the answer, in whole blocks.
        """
        sizes = self.source.sizes
        assert sizes is not None
        keys = self.source.keys.tolist() if isinstance(self.source.keys, np.ndarray) else self.source.keys.to_pylist()
        lengths = np.array([len(uri_of(key)) for key in keys], np.int64)[self.source.ids]
        return -(-file_bytes(lengths, sizes) // self.block_bytes) * self.block_bytes

    @property
    def peak_bytes(self) -> int:
        """The most that the folder of the cache weighed in whole blocks."""
        return int(self.samples.block_bytes.max(initial=0))

    @property
    def final_bytes(self) -> int:
        """What it weighed just after the last answer, in whole blocks."""
        after = np.flatnonzero(self.samples.t_s >= np.nanmax(self.ended_s))
        return int(self.samples.block_bytes[after[0] if len(after) else -1])

    def trace(self) -> RequestTrace:
        """Return the answered requests as a trace: real times of sending, sizes, origin times, NGINX's answers.

        A request that the cache answered costs what the last fetch of the same object took, for that is what a
        miss would have taken; only without any such fetch it has no cost.
        """
        from ...assemble import assemble
        from ...normalise import take

        whole = next(self.source.batches(len(self.source)))
        sent = np.flatnonzero(self.answered)
        order = sent[np.argsort(self.sent_s[sent], kind="stable")]
        batch = take(whole, order)
        costs = last_known(self.source.ids, self.upstream_s, np.argsort(self.sent_s, kind="stable"))[order]
        facts = {name: value for name, value in asdict(self.config).items() if value is not None}
        facts = {name: value if isinstance(value, (int, float, str)) else str(value) for name, value in facts.items()}
        account = Account(notes=self._notes(), records=len(self.source))
        if lost := len(self.source) - len(order):
            account.dropped = Counter({"no whole answer": lost})
        provenance = Provenance(
            name=self.source.name, reader=f"record {self.version}", options=self.options | facts, account=account
        )
        batch = type(batch)(
            batch.keys, sizes=batch.sizes, times=self.sent_s[order], costs=costs, logged=self.status[order]
        )
        return assemble([batch], provenance)

    def _notes(self) -> list[str]:
        late = self.lateness
        notes = [f"recorded with {self.version}: hit ratio {self.hit_ratio:.4f}", *self.source.provenance.account.notes]
        notes.append("a hit costs what the last fetch of the object took")
        if late is not None:
            notes.append(f"sent late by {late.p50_s * 1e3:.3g} ms (median), {late.p99_s * 1e3:.3g} ms (99 %)")
        if not self.punctual:
            notes.append("the driver was not punctual: a run on a quieter machine or at a lower rate says more")
        if self.warnings:
            notes.append(f"NGINX warned {len(self.warnings)} times, first: {self.warnings[0]}")
        return notes

    def __repr__(self) -> str:
        return (
            f"Recording({self.version}, requests={len(self.source):,}, hit_ratio={self.hit_ratio:.4f}, "
            f"final_bytes={self.final_bytes:,}, peak_bytes={self.peak_bytes:,})"
        )


def last_known(
    ids: npt.NDArray[np.int32], values: npt.NDArray[np.float32], order: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """Fill each NaN with the last value before it, in `order`, of the same id; NaN where there is none."""
    grouped = order[np.argsort(ids[order], kind="stable")]
    group, known = ids[grouped], ~np.isnan(values[grouped])
    place = np.maximum.accumulate(np.where(known, np.arange(len(grouped)), -1))
    same = (place >= 0) & (group[np.maximum(place, 0)] == group)
    filled = np.empty_like(values)
    filled[grouped] = np.where(same, values[grouped][np.maximum(place, 0)], np.float32(np.nan))
    return filled
