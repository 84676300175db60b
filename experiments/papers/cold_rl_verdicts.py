"""What Cold-RL's learned policy must do here, and whether it does: each claim passes or fails, and none is weakened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .cold_rl_cells import LEARNED, Rows
from .cold_rl_numbers import short

__all__ = ["AIMS", "PAPER", "Table", "Verdict", "verdicts"]

PAPER: dict[int, tuple[float, float]] = {25: (0.1436, 0.3538), 100: (0.7530, 0.8675), 400: (0.918, 0.918)}
"""By MiB: hit ratio of the "best classical" policy, which was SizeBased, and of Cold-RL. Abstract of arXiv:2508.12485."""

AIMS = {"share": 0.60, "hit_ratio": 0.44}
"""At 25 MiB: of the gap from LRU to the oracle that sees 64 candidates; and hits over requests."""

ORACLE = "oracle K=64"


class Table:
    """Numbers of one clock, by size and policy: one per seed.

    Parameters
    ----------
    rows : list of dict
        Of `evictlab.experiments.papers.cold_rl_cells.measure`; only those of `clock` count.
    clock : str
    """

    def __init__(self, rows: Rows, clock: str) -> None:
        mine = [row for row in rows if row["part"] == "measured" and row["clock"] == clock]
        self.clock = clock
        self.sizes: list[int] = list(dict.fromkeys(row["capacity_mib"] for row in mine))
        self.kinds: dict[str, str] = {row["policy"]: row["kind"] for row in mine}
        self.seeds: list[int] = list(dict.fromkeys(row["seed"] for row in mine))
        self._found = {
            (metric, row["capacity_mib"], row["policy"], row["seed"]): row[metric]
            for row in mine
            for metric in ("hit_ratio", "byte_hit_ratio")
        }

    def of(self, policy: str, mib: int, metric: str = "hit_ratio") -> np.ndarray[Any, Any]:
        """Return one number per seed, float64[seeds]; NaN where it is not known."""
        return np.array([self._found[metric, mib, policy, seed] for seed in self.seeds], np.float64)

    def mean(self, policy: str, mib: int, metric: str = "hit_ratio") -> float:
        """Mean over the seeds."""
        return float(self.of(policy, mib, metric).mean())

    def online(self) -> list[str]:
        """The policies that the learned one must beat."""
        return [policy for policy, kind in self.kinds.items() if kind == "online"]

    def best(self, mib: int, metric: str = "hit_ratio") -> str:
        """The online policy with the highest mean."""
        return max(self.online(), key=lambda policy: self.mean(policy, mib, metric))

    def gap_closed(self, policy: str, mib: int) -> float | None:
        """Share of the way from LRU to the oracle among 64; None where there is no gap."""
        low, high = self.mean("lru", mib), self.mean(ORACLE, mib)
        return (self.mean(policy, mib) - low) / (high - low) if high - low > 1e-6 else None


@dataclass(frozen=True)
class Verdict:
    """One claim and what came of it.

    Attributes
    ----------
    clock : str
    capacity_mib : int
    claim : str
    passed : bool
    found, wanted : str
        In words and numbers.
    """

    clock: str
    capacity_mib: int
    claim: str
    passed: bool
    found: str
    wanted: str

    def row(self) -> dict[str, Any]:
        """Return it as a row of the numbers."""
        return {"part": "verdict", **asdict(self)}


def verdicts(table: Table, *, canonical: bool) -> list[Verdict]:
    """Judge one clock.

    Parameters
    ----------
    table : Table
    canonical : bool
        The traces are as long as the authors', so that the paper's numbers and the aims apply.
    """
    made = []
    for mib in table.sizes:
        for claim, passed, found, wanted in _judged(table, mib, canonical):
            made.append(Verdict(table.clock, mib, claim, bool(passed), found, wanted))
    return made


def _judged(table: Table, mib: int, canonical: bool) -> Iterator[tuple[str, bool, str, str]]:
    learned, (_, theirs) = table.mean(LEARNED, mib), PAPER.get(mib, (0.0, 0.0))
    if mib < 100:
        yield _each_seed(table, mib, "above all online, each seed", above=True)
    elif mib < 400:
        yield _each_seed(table, mib, "not below any online, each seed", above=False)
        best = table.best(mib)
        yield "not below the best online, mean", learned >= table.mean(best, mib), short(learned), (
            f"{short(table.mean(best, mib))} {best}"
        )  # fmt: skip
    else:
        yield _all_equal(table, mib)
    if mib == 25 and canonical:
        share = table.gap_closed(LEARNED, mib)
        shown = "no gap" if share is None else f"{100 * share:.1f} %"
        yield (
            "of the gap LRU to oracle K=64",
            (share or 0) >= AIMS["share"],
            shown,
            f"{100 * AIMS['share']:.0f} % (aim)",
        )
        yield "hit ratio: aim", learned >= AIMS["hit_ratio"], short(learned), short(AIMS["hit_ratio"])
    if mib in PAPER and canonical:
        yield "hit ratio: paper's Cold-RL", learned >= theirs, short(learned), short(theirs)
    if mib < 400:
        best = table.best(mib, "byte_hit_ratio")
        by_bytes = table.mean(LEARNED, mib, "byte_hit_ratio")
        limit = table.mean(best, mib, "byte_hit_ratio")
        yield "byte hit ratio: best online", by_bytes >= limit, short(by_bytes), f"{short(limit)} {best}"


def _each_seed(table: Table, mib: int, claim: str, *, above: bool) -> tuple[str, bool, str, str]:
    """Count the seeds, and name the smallest margin and whose it is."""
    margins = {policy: table.of(LEARNED, mib) - table.of(policy, mib) for policy in table.online()}
    lowest = np.min(list(margins.values()), axis=0)
    closest = min(margins, key=lambda policy: margins[policy].min())
    won = int((lowest > 0).sum() if above else (lowest >= 0).sum())
    n = len(table.seeds)
    return claim, won == n, f"{won} of {n}", f"{short(float(lowest.min()), '+')} to {closest}"


def _all_equal(table: Table, mib: int) -> tuple[str, bool, str, str]:
    """Where all fits, nobody can be better; who refuses newcomers is worse."""
    best = np.max([table.of(policy, mib) for policy in table.online()], axis=0)
    ours = table.of(LEARNED, mib)
    equal = sum(bool((table.of(policy, mib) == ours).all()) for policy in table.online())
    return (
        "equal to the best, each seed", bool((ours == best).all()), f"{int((ours == best).sum())} of {len(ours)}",
        f"as {equal} of {len(table.online())}",
    )  # fmt: skip


def failed(some: Sequence[Verdict]) -> list[Verdict]:
    """Those that did not pass."""
    return [verdict for verdict in some if not verdict.passed]
