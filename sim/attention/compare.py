"""How far a run is from the best that was possible: attention mass that an oracle kept and it did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...traces.errors import UsageError

if TYPE_CHECKING:
    from .result import AttentionRun

__all__ = ["Regret", "regret"]


@dataclass(frozen=True)
class Regret:
    """Kept mass of a run beside that of an oracle.

    Attributes
    ----------
    share : float
        What the run kept of what the oracle kept; 1 is as good. More than 1 where the run had more room: generated tokens
        that stay and are not counted, slack, or slots shared out unevenly.
    difference : float
        What it lost: mean over steps, layers and heads, in shares of a query's attention.
    worst_difference : float
        The same for the head that lost most.
    """

    share: float
    difference: float
    worst_difference: float


def regret(run: AttentionRun, best: AttentionRun) -> Regret:
    """Compare a run to an oracle's of the same budget: ``belady_mass`` for caches that evict, ``topb`` for all.

    Parameters
    ----------
    run, best : AttentionRun
        Of the same trace, request and budget.

    Raises
    ------
    UsageError
        They are of different traces, requests or budgets, so that the difference would mean nothing.
    """
    for name in ("trace", "request"):
        if getattr(run, name) != getattr(best, name):
            raise UsageError(
                f"regret of {run.policy} to {best.policy}: {name} {getattr(run, name)!r} is not "
                f"{getattr(best, name)!r}; replay both on the same one"
            )
    if run.setting.budget != best.setting.budget:
        raise UsageError(
            f"regret of {run.policy} at {run.setting.budget} slots to {best.policy} at {best.setting.budget}: "
            "replay both with the same budget"
        )
    of_head = (best.mass - run.mass).mean(0)
    return Regret(float(run.mass.mean() / best.mass.mean()), float(of_head.mean()), float(of_head.max()))
