"""Verdicts from a results table: who wins where, how much is gained over a baseline, and gates for CI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..policies.registry import is_offline
from ..sim.plot import METRICS
from ..traces.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from ..sim.result import Result

__all__ = ["Gate", "gains", "pivot", "winners"]


def pivot(result: Result, trace: str, metric: str) -> pd.DataFrame:
    """Return policies x capacities for one trace, mean over seeds, in the order of the table."""
    rows = result.frame[(result.frame["trace"] == trace) & result.frame[metric].notna()]
    table = rows.pivot_table(index="policy", columns="capacity", values=metric, aggfunc="mean", observed=True)
    return table.loc[list(dict.fromkeys(rows["policy"])), list(dict.fromkeys(rows["capacity"]))]


def winners(result: Result, metric: str) -> pd.DataFrame:
    """Return the best policy without knowledge of the future, the runner-up, and what the offline ones would leave.

    A row for each trace and capacity. Columns: trace, capacity, best, value, second, lead (difference of the two), offline
    (lowest of the offline policies).
    """
    rows = []
    for trace in dict.fromkeys(result.frame["trace"]):
        table = pivot(result, trace, metric)
        offline = np.asarray([is_offline(str(policy)) for policy in table.index])
        for capacity in table.columns:
            online = table.loc[~offline, capacity].dropna().sort_values(kind="stable")
            if online.empty:
                continue
            rows.append(
                {
                    "trace": trace,
                    "capacity": capacity,
                    "best": online.index[0],
                    "value": online.iloc[0],
                    "second": online.index[1] if len(online) > 1 else "",
                    "lead": online.iloc[1] - online.iloc[0] if len(online) > 1 else np.nan,
                    "offline": table.loc[offline, capacity].min(),
                }
            )
    columns = ["trace", "capacity", "best", "value", "second", "lead", "offline"]
    return pd.DataFrame(rows, columns=columns)


def gains(result: Result, metric: str, baseline: str) -> pd.DataFrame:
    """Return how much of the baseline's misses each policy avoids, over all traces and capacities.

    Returns
    -------
    DataFrame
        Columns: policy, cells (traces x capacities), wins (cells where no other online policy is lower), mean, low and
        high: mean relative reduction with its 95 % bootstrap interval over the traces (NaN with fewer than three),
        worst: the lowest reduction of any cell. Sorted by mean.
    """
    from scipy.stats import bootstrap

    cells = []
    for trace in dict.fromkeys(result.frame["trace"]):
        table = pivot(result, trace, metric)
        if baseline in table.index:
            cells.append(
                (1 - table / table.loc[baseline])
                .melt(ignore_index=False, value_name="gain")
                .reset_index()
                .assign(trace=trace)
            )
    if not cells:
        raise UnknownNameError("baseline", baseline, list(dict.fromkeys(result.frame["policy"])))
    gain = pd.concat(cells, ignore_index=True).replace([np.inf, -np.inf], np.nan).dropna(subset=["gain"])
    best = winners(result, metric)["best"].value_counts()
    rows = []
    for policy, mine in gain.groupby("policy", sort=False):
        per_trace = mine.groupby("trace")["gain"].mean().to_numpy()
        low = high = np.nan
        if len(per_trace) >= 3 and np.ptp(per_trace) > 0:
            interval = bootstrap(
                (per_trace,), np.mean, rng=np.random.default_rng(0), n_resamples=2000
            ).confidence_interval
            low, high = interval.low, interval.high
        rows.append(
            {
                "policy": policy,
                "cells": len(mine),
                "wins": int(best.get(policy, 0)),
                "mean": per_trace.mean(),
                "low": low,
                "high": high,
                "worst": mine["gain"].min(),
            }
        )
    return pd.DataFrame(rows).sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)


@dataclass(frozen=True)
class Gate:
    """A condition that must not hold: ``sieve.miss_ratio > 0.4`` or ``sieve.miss_ratio > lru``.

    Attributes
    ----------
    policy, metric : str
    above : bool
        The gate fails above the limit, else below it.
    limit : str
        A number, or another policy at the same trace and capacity.
    """

    policy: str
    metric: str
    above: bool
    limit: str

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Read a condition.

        Raises
        ------
        UsageError
        """
        match = re.fullmatch(r"\s*(\S+)\.(\w+)\s*([<>])\s*(\S+)\s*", text)
        if match is None:
            raise UsageError(
                f"condition {text!r} is not of the form POLICY.METRIC > LIMIT, as in 'sieve.miss_ratio > lru'"
            )
        policy, metric, sign, limit = match.groups()
        if metric not in METRICS:
            raise UnknownNameError("metric", metric, METRICS)
        return cls(policy, metric, sign == ">", limit)

    def failures(self, result: Result) -> list[str]:
        """Return a line for each trace and capacity where the condition holds; empty = the gate is passed.

        Raises
        ------
        UsageError
            When the results do not have the policy, so that nothing would be checked.
        """
        lines = []
        for trace in dict.fromkeys(result.frame["trace"]):
            table = pivot(result, trace, self.metric)
            for capacity in table.columns:
                value, limit = self._at(table, self.policy, capacity), self._limit(table, capacity)
                if value > limit if self.above else value < limit:
                    sign = ">" if self.above else "<"
                    lines.append(f"{trace} at {capacity}: {self.policy}.{self.metric} = {value:.6f} {sign} {limit:.6f}")
        return lines

    def _limit(self, table: pd.DataFrame, capacity: str) -> float:
        try:
            return float(self.limit)
        except ValueError:
            return self._at(table, self.limit, capacity)

    @staticmethod
    def _at(table: pd.DataFrame, policy: str, capacity: str) -> float:
        if policy not in table.index:
            raise UnknownNameError("policy in these results", policy, table.index)
        return float(table[capacity][policy])
