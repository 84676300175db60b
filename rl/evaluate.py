"""A trained policy beside all others: hit ratios over the part of a log that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..policies.learned.model import read_metadata
from ..policies.registry import all_specs, parse_policy
from ..sim.plan import lifetimes
from ..sim.runs import plan_runs, run_all
from ..traces.errors import UsageError

if TYPE_CHECKING:
    from ..traces.request import RequestTrace

__all__ = ["evaluate", "online_policies"]


def online_policies(*, byte_sizes: bool, ttl: bool) -> list[str]:
    """Return the names of all policies of the registry that need neither the future nor predictions nor a partner.

    Parameters
    ----------
    byte_sizes, ttl : bool
        Only those that take them.
    """
    return [
        spec.name
        for spec in all_specs()
        if not (spec.next_use or spec.predictions or spec.admission or spec.combines or spec.family == "learned")
        and (spec.sizes or not byte_sizes)
        and (spec.ttl or not ttl)
    ]


def evaluate(
    model: str,
    traces: Sequence[RequestTrace],
    sizes: Sequence[str],
    *,
    policies: Sequence[str] | None = None,
    warmup: str | None = None,
    ttl: str | None = None,
    seeds: int = 1,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    expect: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Replay logs under a trained policy and under others.

    Parameters
    ----------
    model : str
        Folder, or the name of a model that comes along.
    traces : sequence of RequestTrace
    sizes : sequence of str
    policies : sequence of str, optional
        Default: `online_policies`.
    warmup : str, optional
        Default: of a log that the model was trained on, what it has seen of it; of others, nothing.
    ttl : str, optional
    seeds : int
        Of policies that draw; their mean is returned.
    threads : int, optional
    progress, expect : callable, optional
        Told how many more requests are replayed, and beforehand how many there will be.

    Returns
    -------
    list of dict
        One per trace, capacity and policy: ``trace, policy, learned, capacity, capacity_bytes, counted, hit_ratio,
        byte_hit_ratio``.

    Raises
    ------
    UsageError
        A log that was learnt from would be counted.
    """
    learned = parse_policy(f"cold_rl:{model}")
    known = read_metadata(getattr(learned, "folder")).trained  # noqa: B009 - of this policy only
    rows: list[dict[str, Any]] = []
    runs = []
    for trace in traces:
        own = _unseen_from(known, trace) if warmup is None else warmup
        some_bytes = trace.sizes is not None
        named = (
            online_policies(byte_sizes=some_bytes, ttl=lifetimes(ttl, trace) is not None)
            if policies is None
            else policies
        )
        runs += plan_runs([trace], [learned, *named], sizes, seeds=range(seeds), ttl=ttl, warmup=own)
    if expect is not None:
        expect(sum(len(run.trace) for run in runs))
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for run, made in run_all(runs, threads=threads, progress=progress):
        row = next(row for row in made if row.get("window") is None)
        found.setdefault((run.trace.name, str(row["capacity"]), run.policy.label), []).append(row)
    for run in runs:
        key = (run.trace.name, run.capacity.label, run.policy.label)
        if key not in found:
            continue
        some = found.pop(key)
        rows.append(
            {
                "trace": key[0],
                "policy": key[2],
                "learned": run.policy.label == learned.label,
                "capacity": key[1],
                "capacity_bytes": some[0].get("capacity_bytes"),
                "counted": int(some[0]["requests"]),
                "hit_ratio": float(np.mean([row["hits"] / max(row["requests"], 1) for row in some])),
                "byte_hit_ratio": float(np.mean([row["hit_bytes"] / max(row["bytes"], 1) for row in some]))
                if trace_has_bytes(run.trace)
                else None,
            }
        )
    return rows


def trace_has_bytes(trace: RequestTrace) -> bool:
    """Whether the trace states sizes."""
    return trace.sizes is not None


def _unseen_from(known: dict[str, Any], trace: RequestTrace) -> float:
    """Share of a trace that the model was trained or judged on."""
    names = known.get("traces") or []
    if trace.name not in names:
        return 0.0
    if len(names) > 1 or not known.get("held_back"):
        raise UsageError(
            f"{trace.name}: the model was trained or judged on the whole of it; evaluate it on another log, "
            "or give --warmup if it only has the same name"
        )
    return 1.0 - float(known["held_back"])
