"""From the lines of a log to the requests that a cache sees.

A line is a request to the cache if its method is cached, no header forbids storing the
response, and a response of its status is stored. All others are counted with their reason.
206, 304 and 499 are accesses to the object; HEAD touches it without saying how large it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...batch import LOGGED, Account, Batch
from ...normalise import LARGEST_SIZE
from ...units import format_duration
from ..records import Records
from ..rules import OF_THE_OBJECT, CacheRules
from .arrivals import SPREAD, UNREADABLE, Arrivals, arrivals
from .costs import costs_of
from .sizes import Evidence, sizes_of
from .ttls import ttls_of

__all__ = ["ABSURD", "NO_METHOD", "NO_OBJECT", "Choices", "convert"]

_METHOD = re.compile(
    "GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|QUERY|PURGE|BAN|REFRESH|PRI|PROPFIND|PROPPATCH|MKCOL|COPY|MOVE|"
    "LOCK|UNLOCK|REPORT|SEARCH"
)
"""Methods that are named where they are left out; clients send any word there."""

NO_METHOD = "no request line"
NO_OBJECT = "no URL"
ABSURD = "size of 2^53 bytes or more -> unknown"
_SERVED = tuple(LOGGED.index(word) for word in ("HIT", "STALE", "UPDATING", "REVALIDATED"))


@dataclass(frozen=True)
class Choices:
    """How requests are made of lines.

    Attributes
    ----------
    everything : bool
        Every line with a request line is a request, as large as its body.
    epoch_s : float
        An object keeps its size so long.
    by_arrival : bool
        Requests are put in the order of their arrival; else they stay in that of the file.
    ties : {"order", "reverse", "shuffle"}
        Order within a second of stamps without fractions.
    tie_seed : int
    batch : int
        The most requests in a batch.
    """

    everything: bool = False
    epoch_s: float = 86400.0
    by_arrival: bool = True
    ties: str = "order"
    tie_seed: int = 0
    batch: int = 1 << 20


def convert(records: Records, rules: CacheRules, choices: Choices, account: Account) -> Iterator[Batch]:
    """Make requests of the lines of a whole log.

    Parameters
    ----------
    records : Records
    rules : CacheRules
    choices : Choices
    account : Account
        Counts what is left out and what is mended; notes say what was concluded.

    Yields
    ------
    Batch
        In the order of arrival.
    """
    if len(records) == 0:
        return
    timing = _timing(records, choices, account)
    keep = _kept(records, rules, choices, account)
    rows = np.arange(len(records)) if timing is None or not choices.by_arrival else timing.order
    rows = rows[keep[rows]]
    if len(rows) == 0:
        return
    columns: dict[str, Any] = {}
    if timing is not None:
        columns["times"] = timing.times_s[rows]
        _count(account, SPREAD, timing.spread[rows])
        _count(account, UNREADABLE, timing.unreadable[rows])
    part = _Part(records, rows)
    if choices.everything:
        body = part.get("body")
        columns["sizes"] = None if body is None else np.maximum(body, 0)
    else:
        columns["sizes"], columns["known"] = _sizes(part, columns.get("times"), choices, account)
        columns["ttls"] = ttls_of(part.ids, part.get("status"), part.get("ttl_s"), _doubtful(part), rules)
        if columns["ttls"] is None:
            account.notes.append("nothing is known about TTLs: objects do not expire")
    columns["costs"] = costs_of(part.ids, part.get("upstream_s"), part.get("logged"), account)
    columns["logged"] = part.get("logged")
    if columns["sizes"] is None:
        account.notes.append("the log says nothing about sizes")
    _note_logged(columns["logged"], account)
    keys = records.keys()
    for start in range(0, len(rows), choices.batch):
        span = slice(start, start + choices.batch)
        ids = part.ids[span]
        yield Batch(
            keys[ids] if isinstance(keys, np.ndarray) else keys.take(ids),
            **{name: None if column is None else column[span] for name, column in columns.items()},
        )


class _Part:
    """Columns of some of the records, looked up when first asked for."""

    def __init__(self, records: Records, rows: npt.NDArray[np.int64]) -> None:
        self._records, self._rows = records, rows
        self.ids = records.ids[rows]
        method = self.get("method")
        self.head = np.zeros(len(rows), bool) if method is None else method == records.methods.code("HEAD")

    def get(self, name: str) -> Any:
        column = self._records.column(name)
        return None if column is None else column[self._rows]


def _timing(records: Records, choices: Choices, account: Account) -> Arrivals | None:
    end_s = records.column("end_s")
    if end_s is None or not np.isfinite(end_s).any():
        account.notes.append("the log has no times that can be read: requests stand in the order of the file")
        return None
    coarse = records.column("coarse")
    coarse = np.zeros(len(end_s), bool) if coarse is None else coarse
    timing = arrivals(end_s, coarse, records.column("duration_s"), ties=choices.ties, seed=choices.tie_seed)
    if timing.backwards:
        done = "sorted by arrival" if choices.by_arrival else "left as they stand"
        lines = "1 line" if timing.backwards == 1 else f"{timing.backwards:,} lines"
        account.notes.append(
            f"{lines} ended before one above, by {format_duration(timing.largest_jump_s)} at most: {done}"
        )
    return timing


def _kept(records: Records, rules: CacheRules, choices: Choices, account: Account) -> npt.NDArray[np.bool_]:
    """Which lines are requests; the others are counted with the first reason that applies."""
    keep = np.ones(len(records), bool)

    def leave_out(which: npt.NDArray[np.bool_], why: str) -> None:
        if count := int((keep & which).sum()):
            account.dropped[why] += count
            keep[which] = False

    method = records.column("method")
    if lacking := records.lacking("method"):
        which = "all requests" if method is None else f"{lacking:,} of its lines"
        account.notes.append(f"the log has no method: {which} count as GET")
    if method is not None:
        for code, word in enumerate(records.methods.words):
            if word in ("", "-"):
                leave_out(method == code, NO_METHOD)
            elif not choices.everything and word not in rules.methods:
                leave_out(method == code, f"method {word}" if _METHOD.fullmatch(word) else "unknown method")
    unnamed = records.column("unnamed")
    if unnamed is not None:
        leave_out(unnamed, NO_OBJECT)
    if choices.everything:
        return keep
    # What the real cache served is stored, whatever the headers of a response that is not new say by now.
    logged = records.column("logged")
    served = np.zeros(len(records), bool) if logged is None else np.isin(logged, _SERVED)
    barred = records.column("barred")
    if barred is not None:
        for code, reason in enumerate(records.reasons.words[1:], start=1):
            leave_out((barred == code) & ~served, reason)
    status, ttl_s = records.column("status"), records.column("ttl_s")
    if lacking := records.lacking("status"):
        which = "all responses" if status is None else f"{lacking:,} of its lines"
        account.notes.append(f"the log has no status: {which} count as cacheable")
    if status is None:
        return keep
    fresh = np.zeros(len(records), bool) if ttl_s is None else ttl_s > 0
    stored = set(np.unique(status[served & keep]).tolist())
    for code in np.unique(status[keep]).tolist():
        if code in stored:
            if not rules.keeps(code, headers=False):
                account.notes.append(f"status {code} counts as cacheable, because the log has hits with it")
            continue
        why = f"status {code}" if code else "no status"
        for headers in (False, True):
            if not code or not rules.keeps(code, headers):
                leave_out((status == code) & (fresh == headers), why)
    return keep


def _sizes(
    part: _Part, times_s: npt.NDArray[np.float64] | None, choices: Choices, account: Account
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.bool_] | None]:
    n = len(part.ids)
    nothing = np.full(n, -1)

    def said(name: str) -> npt.NDArray[np.int64]:
        column = part.get(name)
        if column is None:
            return nothing
        absurd = column > LARGEST_SIZE
        _count(account, ABSURD, absurd)
        return np.where(absurd, -1, column)

    status = part.get("status")
    status = np.full(n, 200) if status is None else status
    body, length, total = said("body"), said("length"), said("total")
    sent, whole = ~part.head, status == 200
    of_object = np.isin(status, OF_THE_OBJECT)
    stored = body
    ratio = part.get("gzip_ratio")
    unpacked = body * np.where(ratio > 0, ratio, 0.0) if ratio is not None else nothing
    packed = (unpacked > 0) & (unpacked <= LARGEST_SIZE) & (body >= 0) & ~(whole & (length >= 0))
    if packed.any():
        stored = np.where(packed, np.round(np.where(packed, unpacked, 0.0)).astype(np.int64), body)
        account.notes.append(
            f"{int(packed.sum()):,} responses were compressed on the way: stored size = body x $gzip_ratio, about"
        )
    evidence = Evidence(
        own=np.where(sent & ~of_object, np.maximum(stored, 0 if part.get("body") is not None else -1), -1),
        stated=np.where(whole, length, np.where(status == 206, total, -1)),
        whole=np.where(sent & whole, stored, -1),
        part=np.where(sent & of_object & ~whole & (status != 304), body, -1),
    )
    epochs = np.zeros(n, np.int64)
    if times_s is not None:
        epochs = np.floor(times_s / choices.epoch_s).astype(np.int64)
    sizes = sizes_of(part.ids, epochs, evidence)
    if sizes is None:
        return None, None
    if sizes.imputed:
        parts = ", ".join(f"{count / n:.1%} {source}" for source, count in sizes.imputed.items())
        account.notes.append(f"sizes of {sum(sizes.imputed.values()) / n:.1%} of the requests are imputed: {parts}")
    return sizes.n_bytes, sizes.known


def _doubtful(part: _Part) -> npt.NDArray[np.bool_] | None:
    """TTLs that were counted from a date although the response came from the cache: less was left than at first."""
    dated, logged = part.get("dated"), part.get("logged")
    if dated is None or logged is None:
        return None
    return np.asarray(dated & np.isin(logged, _SERVED))


def _note_logged(logged: npt.NDArray[np.uint8] | None, account: Account) -> None:
    if logged is None:
        return
    counts = np.bincount(logged, minlength=len(LOGGED))
    told = len(logged) - int(counts[0])
    if told:
        each = ", ".join(f"{LOGGED[i]} {counts[i]:,}" for i in range(1, len(LOGGED)) if counts[i])
        served = int(counts[list(_SERVED)].sum())
        account.notes.append(f"the real cache answered {served / told:.1%} of these requests: {each}")
    if counts[0]:
        account.notes.append(f"{counts[0] / len(logged):.1%} of the requests have no cache status: no cache was asked")


def _count(account: Account, why: str, which: npt.NDArray[np.bool_]) -> None:
    if count := int(which.sum()):
        account.repaired[why] += count
