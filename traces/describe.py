"""The facts of a trace, as ``evictlab trace info`` shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .batch import GET, LOGGED, OTHER, SET
from .request import RequestTrace

__all__ = ["TraceFacts", "trace_facts", "zipf_alpha"]

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
"""Shares of the objects for which a size is given."""

TOP_SHARES = (0.001, 0.01, 0.1)
"""Shares of the objects, most popular first, whose share of the requests is given."""

LEAST_COUNT = 10
"""Requests that an object needs before its count says something about popularity."""


@dataclass(frozen=True)
class TraceFacts:
    """What is in a trace; None where the trace does not say.

    Attributes
    ----------
    name, source, reader : str
    n_requests, n_objects : int
    one_hit_share : float
        Share of the objects that are requested once.
    compulsory_miss_ratio : float
        Objects per request: no cache can do better than this without prefetching.
    top_shares : dict of float to float
        Share of the requests that go to the most popular 0.1 %, 1 %, 10 % of the objects.
    zipf_alpha : float or None
        See `zipf_alpha`.
    footprint_bytes, requested_bytes : int or None
        All objects once, each at its largest; all requests.
    size_quantiles : dict of float to int, or None
        Bytes of the objects.
    duration_s, requests_per_s : float or None
    ttl_quantiles_s : dict of float to float, or None
        Of the requests, ``inf`` for those that never expire.
    ops : dict of str to int, or None
        Requests by kind.
    predicted_share : float or None
        Share of the requests that come with a prediction.
    known_share : float or None
        Share of the requests whose size the source states.
    logged : dict of str to int, or None
        Requests by what the real cache answered; those of which it said nothing are left out.
    records : int
        In the source.
    dropped, repaired : dict of str to int
        Records by reason.
    notes : tuple of str
    """

    name: str
    source: str
    reader: str
    n_requests: int
    n_objects: int
    one_hit_share: float
    compulsory_miss_ratio: float
    top_shares: dict[float, float]
    zipf_alpha: float | None
    footprint_bytes: int | None
    requested_bytes: int | None
    size_quantiles: dict[float, int] | None
    duration_s: float | None
    requests_per_s: float | None
    ttl_quantiles_s: dict[float, float] | None
    ops: dict[str, int] | None
    predicted_share: float | None
    known_share: float | None
    logged: dict[str, int] | None
    records: int
    dropped: dict[str, int]
    repaired: dict[str, int]
    notes: tuple[str, ...]


def trace_facts(trace: RequestTrace) -> TraceFacts:
    """Gather the facts of a trace.

    Parameters
    ----------
    trace : RequestTrace
    """
    counts = np.sort(np.bincount(trace.ids, minlength=trace.n_objects))[::-1]
    duration_s = trace.duration_s
    account = trace.provenance.account
    return TraceFacts(
        name=trace.name,
        source=trace.provenance.source,
        reader=trace.provenance.reader,
        n_requests=trace.n_requests,
        n_objects=trace.n_objects,
        one_hit_share=float((counts == 1).mean()),
        compulsory_miss_ratio=trace.n_objects / trace.n_requests,
        top_shares=_top_shares(counts),
        zipf_alpha=zipf_alpha(counts),
        footprint_bytes=trace.footprint_bytes,
        requested_bytes=None if trace.sizes is None else _exact_sum(trace.sizes),
        size_quantiles=None if trace.object_sizes is None else _quantiles(trace.object_sizes, int),
        duration_s=duration_s,
        requests_per_s=trace.n_requests / duration_s if duration_s else None,
        ttl_quantiles_s=None if trace.ttls is None else _quantiles(trace.ttls, float),
        ops=None if trace.ops is None else _op_counts(trace.ops),
        predicted_share=None if trace.predictions is None else float((~np.isnan(trace.predictions)).mean()),
        known_share=None if trace.known is None else float(trace.known.mean()),
        logged=None if trace.logged is None else _logged_counts(trace.logged),
        records=account.records,
        dropped=dict(account.dropped.most_common()),
        repaired=dict(account.repaired.most_common()),
        notes=tuple(account.notes),
    )


def zipf_alpha(counts: npt.NDArray[Any]) -> float | None:
    """Exponent of the Zipf law that fits the popular objects best.

    Least squares of log(count) over log(rank), at ranks spaced evenly on the
    logarithmic scale, over the objects with at least 10 requests: among rarer ones
    the counts are mostly chance.

    Parameters
    ----------
    counts : int[n_objects]
        Requests per object, largest first.

    Returns
    -------
    float or None
        None when fewer than 10 objects have 10 requests.
    """
    n_popular = int(np.searchsorted(-counts, -LEAST_COUNT, side="right"))
    if n_popular < 10:
        return None
    ranks = np.unique(np.geomspace(1, n_popular, num=200).astype(np.int64))
    slope = np.polyfit(np.log(ranks), np.log(counts[ranks - 1]), 1)[0]
    return float(-slope)


def _top_shares(counts: npt.NDArray[Any]) -> dict[float, float]:
    cumulated = np.cumsum(counts)
    tops = {share: max(1, round(share * len(counts))) for share in TOP_SHARES}
    return {share: float(cumulated[n - 1] / cumulated[-1]) for share, n in tops.items()}


def _quantiles(values: npt.NDArray[Any], kind: type) -> dict[float, Any]:
    found = np.quantile(values, QUANTILES, method="inverted_cdf")
    return {share: kind(value) for share, value in zip(QUANTILES, found, strict=True)}


def _op_counts(ops: npt.NDArray[np.uint8]) -> dict[str, int]:
    n = np.bincount(ops, minlength=4)
    return {name: int(n[op]) for name, op in (("get", GET), ("set", SET), ("other", OTHER)) if n[op]}


def _logged_counts(logged: npt.NDArray[np.uint8]) -> dict[str, int]:
    n = np.bincount(logged, minlength=len(LOGGED))
    return {word: int(n[code]) for code, word in enumerate(LOGGED) if word and n[code]}


def _exact_sum(values: npt.NDArray[np.int64]) -> int:
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
