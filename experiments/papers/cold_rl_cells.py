"""What is measured for Cold-RL: each trace of `trap` with every policy, oracle and ceiling at each cache size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...traces.request import RequestTrace
    from ..journal import Journal
    from .cold_rl_model import Model

__all__ = ["AUTHORS", "CLOCKS", "LEARNED", "SIZES_MIB", "TAILS", "Cell", "contestants", "measure", "plan", "spread"]

CLOCKS = ("scrambled", "cumulative")
SIZES_MIB = (25, 100, 400)
"""The authors' "MB": their simulator computes with 2^20 bytes."""

REQUESTS = 25_000

TAILS: dict[str, int | None] = {f"oracle K={k}": k for k in (8, 16, 32, 64)} | {"oracle K=all": None}
"""Clairvoyant choices among the K least recently used."""

BY_SIZE = "oracle K=all x size"
LEARNED = "learned"
AUTHORS = {
    "size": "authors' SizeBased",
    "lru": "authors' LRU",
    "lfu": "authors' LFU",
    "adaptive_lru": "authors' AdaptiveLRU",
    "hybrid_lru_size": "authors' HybridLRU",
}
"""By rule of `evictlab.sim.purging`."""

INFORMED, REFUSING, BOUND = "informed", "informed, refusing", "bound without future"

Rows = list[dict[str, Any]]


def contestants() -> list[str]:
    """Return every online policy of the registry that takes sizes and needs no predictions, admission rules before LRU."""
    from ...policies.registry import all_specs

    return [
        f"{spec.name}+lru" if spec.admission else spec.name
        for spec in all_specs()
        if spec.sizes
        and not (spec.next_use or spec.combines or spec.predictions)
        and spec.family not in ("learned", "plug-in")
    ]


def offline() -> list[str]:
    """Return the policies of the registry that read the future and take sizes."""
    from ...policies.registry import all_specs

    return [spec.name for spec in all_specs() if spec.sizes and spec.next_use]


@dataclass(frozen=True)
class Cell:
    """All that is measured on one trace.

    Attributes
    ----------
    clock : str
    seed : int
    n_requests : int
    sizes_mib : tuple of int
    model : Model
    """

    clock: str
    seed: int
    n_requests: int
    sizes_mib: tuple[int, ...]
    model: Model

    @property
    def key(self) -> str:
        """What its rows depend on."""
        who = [*contestants(), *offline(), *TAILS, *AUTHORS, self.model.digest]
        return json.dumps(["trap", self.clock, self.seed, self.n_requests, self.sizes_mib, who])

    def rows(self) -> Rows:
        """Measure."""
        from ...traces.generate.trap import trap

        trace = trap(n_requests=self.n_requests, clock=self.clock, seed=self.seed)
        rows = [*self._policies(trace), *self._oracles(trace), *self._authors(trace), *self._ceilings(trace)]
        return [{"part": "measured", "clock": self.clock, "seed": self.seed, **row} for row in rows]

    def _policies(self, trace: RequestTrace) -> Iterator[dict[str, Any]]:
        from ...sim.runs import plan_runs

        sizes = [f"{mib}MiB" for mib in self.sizes_mib]
        learned = self.model.policy
        for kind, some in (("online", contestants()), (LEARNED, [learned]), ("offline", offline())):
            for run in plan_runs([trace], some, sizes, seeds=[self.seed], ttl="trace"):
                row = run.rows()[0]
                title = LEARNED if kind == LEARNED else row["policy"]
                mib = run.capacity.amount >> 20
                yield _row(kind, title, mib, 1 - row["miss_ratio"], 1 - row["byte_miss_ratio"])

    def _oracles(self, trace: RequestTrace) -> Iterator[dict[str, Any]]:
        from ...sim.ktail import replay_ktail

        for mib in self.sizes_mib:
            for title, k in TAILS.items():
                yield _row("offline", title, mib, *replay_ktail(trace, mib << 20, k))
            yield _row("offline", BY_SIZE, mib, *replay_ktail(trace, mib << 20, None, "next_use_x_size"))

    def _authors(self, trace: RequestTrace) -> Iterator[dict[str, Any]]:
        from ...sim.purging import replay_purging

        for mib in self.sizes_mib:
            for rule, title in AUTHORS.items():
                yield _row("authors", title, mib, *replay_purging(trace, mib << 20, rule))

    def _ceilings(self, trace: RequestTrace) -> Iterator[dict[str, Any]]:
        from .cold_rl_ceiling import bound, chances, informed

        known = chances(trace)
        for mib in self.sizes_mib:
            for title, refuse in ((INFORMED, False), (REFUSING, True)):
                yield _row("ceiling", title, mib, *informed(trace, known, mib << 20, refuse=refuse))
        for mib, most in zip(self.sizes_mib, bound(trace, known, [mib << 20 for mib in self.sizes_mib]), strict=True):
            yield _row("ceiling", BOUND, mib, most, None)


def _row(kind: str, title: str, mib: int, hit_ratio: float, byte_hit_ratio: float | None) -> dict[str, Any]:
    return {
        "capacity_mib": mib, "kind": kind, "policy": title, "hit_ratio": hit_ratio, "byte_hit_ratio": byte_hit_ratio,
    }  # fmt: skip


def plan(
    model: Model,
    seeds: Sequence[int],
    *,
    clocks: Sequence[str] = CLOCKS,
    n_requests: int = REQUESTS,
    sizes_mib: tuple[int, ...] = SIZES_MIB,
) -> list[Cell]:
    """List what is to be measured, and refuse a model that has been trained on any of it.

    Raises
    ------
    UsageError
    """
    from .cold_rl_model import check_unseen

    check_unseen(model, seeds)
    return [Cell(clock, seed, n_requests, sizes_mib, model) for clock in clocks for seed in seeds]


def measure(
    cells: Sequence[Cell],
    journal: Journal,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Measure what the journal does not hold, and return the rows of all."""
    for cell in spread(cells, journal, threads):
        if progress is not None:
            progress(cell.n_requests)
    return [row for cell in cells for row in journal.finished[cell.key]]


def spread(cells: Sequence[Cell], journal: Journal, threads: int | None = None) -> Iterator[Cell]:
    """Do pieces of work on threads, note each in the journal and yield it as it finishes; those already noted at once."""
    import os

    missing = [cell for cell in cells if cell.key not in journal.finished]
    yield from (cell for cell in cells if cell not in missing)
    with ThreadPoolExecutor(max(1, min(threads or os.cpu_count() or 1, len(missing) or 1))) as pool:
        waiting = {pool.submit(cell.rows): cell for cell in missing}
        try:
            for future in as_completed(waiting):
                journal.add(waiting[future].key, future.result())
                yield waiting[future]
        finally:
            for future in waiting:
                future.cancel()
