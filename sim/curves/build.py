"""One question for every curve: the exact pass, a sample or miniature caches, whichever fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...policies.registry import Policy, parse_policy
from ...traces.errors import UsageError
from ...traces.units import Size
from ..plan import capacity_of
from .lru import lru_curve, lru_from
from .miniature import miniature_curve
from .result import Curve
from .sampling import check_rate
from .shards import shards_curve

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["curve"]

_FIXED = "fixed-size:"
_METHODS = ("exact", "shards", "shards-adj", "miniature")


def curve(
    trace: RequestTrace,
    policy: str | Policy = "lru",
    sample: float | str | None = None,
    sizes: Sequence[str | Size | int] | None = None,
    method: Literal["exact", "shards", "shards-adj", "miniature"] | None = None,
    *,
    seed: int = 0,
    warmup: str | float = 0.0,
    ignore_sizes: bool = False,
    threads: int | None = None,
) -> Curve:
    """Miss ratio of a policy by capacity.

    Parameters
    ----------
    trace : RequestTrace
    policy : str or Policy
        LRU has an exact curve of all capacities from one pass; other policies are replayed in miniature.
    sample : float or str, optional
        Share of the objects (0.01), or at most so many (``"fixed-size:8192"``, LRU only).
    sizes : sequence, optional
        Capacities to answer, and no others: ``"1GiB"``, ``"5000obj"``, ``"10%"`` of the footprint, or plain numbers in
        the unit of the curve.
    method : {"exact", "shards", "shards-adj", "miniature"}, optional
        By default exact or shards for LRU, miniature for all others. ``shards-adj`` is SHARDS as published.
    seed : int
        Of the sample, and of policies that draw random numbers.
    warmup : str or float
        Requests that are not counted: a fraction, ``20%`` or ``10min``.
    ignore_sizes : bool
        Count objects even where the trace has sizes. Sizes all given in objects have the same effect.
    threads : int, optional
        For miniature simulations.

    Returns
    -------
    Curve

    Raises
    ------
    UsageError
        Also `UnknownNameError`, `UnitError`, `CapabilityError`: nothing has been computed then.

    Examples
    --------
    >>> from evictlab.traces.generate import zipf
    >>> from evictlab.sim.curves import curve
    >>> trace = zipf(10_000, 1_000, seed=1)
    >>> exact = curve(trace)
    >>> exact.method, exact.at(100) > exact.at(500)
    ('exact', True)
    """
    policy = parse_policy(policy)
    wanted, ignore_sizes = _wanted(trace, sizes, ignore_sizes)
    how, rate, max_objects = _how(policy, sample, method)
    common: dict[str, Any] = {"warmup": warmup, "ignore_sizes": ignore_sizes}
    if how == "miniature":
        return miniature_curve(trace, policy, rate, sizes=wanted, seed=seed, threads=threads, **common)
    if how == "exact":
        found = lru_curve(trace, sizes=wanted or (), **common)
    else:
        ask: Any = "objects" if how == "shards-adj" else "requests"
        found = shards_curve(trace, rate, max_objects=max_objects, ask=ask, seed=seed, **common)
    if wanted is None:
        return found
    found = found.only(wanted)
    if how == "exact" and found.unit == "bytes":
        found = _without_the_too_large(found, trace)
    return found


def _how(policy: Policy, sample: float | str | None, method: str | None) -> tuple[str, float | None, int | None]:
    """Method, rate and fixed size; refuses what does not go together."""
    is_lru = policy.label == "lru"
    rate: float | None = None
    max_objects: int | None = None
    if isinstance(sample, str):
        number = sample.removeprefix(_FIXED)
        if number == sample or not number.isdecimal():
            raise UsageError(f"sample {sample!r} is neither a rate (0.01) nor a number of objects ('fixed-size:8192')")
        max_objects = int(number)
    elif sample is not None:
        rate = check_rate(sample)
    if method is None:
        method = "miniature" if not is_lru else "exact" if sample is None else "shards"
    if method not in _METHODS:
        raise UsageError(f"unknown method {method!r}; known: {', '.join(_METHODS)}")
    if method != "miniature" and not is_lru:
        raise UsageError(f"the method {method!r} is for lru only; {policy.label} can be simulated in miniature")
    if method == "miniature" and max_objects is not None:
        raise UsageError("a sample of fixed size is for lru only; give miniature simulations a rate, such as 0.01")
    if method == "exact" and sample is not None:
        raise UsageError("an exact curve looks at all objects; leave out the sample, or the method")
    if method in ("shards", "shards-adj") and sample is None:
        raise UsageError(f"the method {method!r} needs a sample: a rate (0.01), or 'fixed-size:8192'")
    return method, rate, max_objects


def _wanted(
    trace: RequestTrace, sizes: Sequence[str | Size | int] | None, ignore_sizes: bool
) -> tuple[list[int] | None, bool]:
    """Capacities as numbers, and whether they are of objects."""
    if sizes is None:
        return None, ignore_sizes
    if isinstance(sizes, str) or len(sizes) == 0:
        raise UsageError(f"sizes are a list of capacities, such as ['1%', '10%'], not {sizes!r}")
    numbers = [size for size in sizes if isinstance(size, (int, np.integer))]
    words = [capacity_of(size, trace, ignore_sizes=ignore_sizes) for size in sizes if isinstance(size, (str, Size))]
    if len(numbers) + len(words) != len(sizes):
        raise UsageError(
            f"capacities are whole numbers or sizes with a unit ('1GiB', '5000obj', '10%'), unlike {sizes!r}"
        )
    n_bytes = {capacity.byte_sizes for capacity in words} or {trace.sizes is not None and not ignore_sizes}
    if len(n_bytes) == 2:
        raise UsageError("a curve is in objects or in bytes: give all sizes in one of them")
    amounts = sorted({*(int(n) for n in numbers), *(capacity.amount for capacity in words)})
    if amounts[0] < 1:
        raise UsageError(f"a capacity of {amounts[0]} holds nothing; it must be at least 1")
    return amounts, not n_bytes.pop()


def _without_the_too_large(found: Curve, trace: RequestTrace) -> Curve:
    """Answer capacities below the largest object by a pass of their own, without the requests that pass such a cache by."""
    assert trace.sizes is not None
    miss_ratio, byte_miss_ratio = found.miss_ratio.copy(), found.values("byte_miss_ratio").copy()
    begin_at = len(trace) - found.requests
    all_bytes = float(trace.sizes[begin_at:].sum())
    for k, capacity in enumerate(found.capacities.tolist()):
        small = trace.sizes <= capacity
        if small.all():
            break
        begin = int(np.count_nonzero(small[:begin_at]))
        misses, missed_bytes = float(found.requests), all_bytes
        if begin < np.count_nonzero(small):
            part = trace.select(small)
            assert part.sizes is not None
            alone = lru_from(part, begin, found.warmup, [capacity])
            hits = 1 - alone.at(capacity)
            misses -= hits * alone.requests
            missed_bytes -= (1 - alone.at(capacity, "byte_miss_ratio")) * float(part.sizes[begin:].sum())
        miss_ratio[k], byte_miss_ratio[k] = misses / found.requests, missed_bytes / all_bytes
    return replace(found, miss_ratio=miss_ratio, byte_miss_ratio=byte_miss_ratio, notes=())
