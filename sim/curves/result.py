"""A miss-ratio curve: a step function of the cache's capacity, with what it was made from."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ...traces.errors import UnknownNameError, UsageError
from ...traces.units import format_bytes, format_count

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Curve"]

Method = Literal["exact", "shards", "shards-adj", "shards-fixed-size", "miniature"]


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """Miss ratio by capacity.

    Attributes
    ----------
    trace : str
        Name of the trace.
    policy : str
        The policy as written on the command line.
    unit : {"objects", "bytes"}
        What capacities count.
    capacities : int64[m]
        Ascending. Between two of them, the ratio of the lower one holds.
    miss_ratio : float64[m]
        Misses per request, 0 to 1.
    byte_miss_ratio : float64[m] or None
        Bytes missed per byte requested; None where capacities count objects.
    requests : int
        Requests that the curve speaks for, warm-up left out.
    looked_at : int
        Requests that were looked at for it: fewer for a sampled curve.
    method : {"exact", "shards", "shards-adj", "shards-fixed-size", "miniature"}
    rate : float
        Share of the objects that were followed, 1 for all; the last rate for a sample of fixed size.
    seed : int
    warmup : str
        As given.
    below : float
        Ratio for capacities below the first: 1 where these hold nothing that is asked for again, NaN where they were
        not simulated.
    notes : tuple of str
        What a reader should know.
    """

    trace: str
    policy: str
    unit: Literal["objects", "bytes"]
    capacities: npt.NDArray[np.int64]
    miss_ratio: npt.NDArray[np.float64]
    byte_miss_ratio: npt.NDArray[np.float64] | None
    requests: int
    looked_at: int
    method: Method
    rate: float = 1.0
    seed: int = 0
    warmup: str = "0.0"
    below: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether every object was followed."""
        return self.method == "exact" or (self.method == "miniature" and self.rate == 1)

    def __len__(self) -> int:
        return len(self.capacities)

    def at(self, capacity: Any, metric: str = "miss_ratio") -> Any:
        """Read the curve.

        Parameters
        ----------
        capacity : number or array of numbers
            In the curve's unit.
        metric : {"miss_ratio", "byte_miss_ratio"}

        Returns
        -------
        float or float64 array
            The value at the largest known capacity that is not above; `below` where there is none.

        Raises
        ------
        UnknownNameError
            The curve has no such metric.
        """
        step = np.searchsorted(self.capacities, capacity, side="right") - 1
        found = np.where(step < 0, self.below, self.values(metric)[step])
        return float(found) if np.ndim(found) == 0 else found

    def values(self, metric: str = "miss_ratio") -> npt.NDArray[np.float64]:
        """The column of that name.

        Raises
        ------
        UnknownNameError
        """
        known = {"miss_ratio": self.miss_ratio, "byte_miss_ratio": self.byte_miss_ratio}
        values = known.get(metric)
        if values is None:
            raise UnknownNameError("metric", metric, [name for name in known if known[name] is not None])
        return values

    def only(self, capacities: Sequence[int] | npt.NDArray[np.int64]) -> Curve:
        """The same curve at these capacities and no others."""
        wanted = np.unique(np.asarray(capacities, np.int64))
        bytewise = None if self.byte_miss_ratio is None else self.at(wanted, "byte_miss_ratio")
        return replace(self, capacities=wanted, miss_ratio=self.at(wanted), byte_miss_ratio=bytewise, below=np.nan)

    def points(self, n: int = 100) -> Curve:
        """A curve of at most `n` points, for the eye.

        Half of them lie evenly over the logarithm of the capacities, half evenly over the drop in misses, so that flat
        stretches stay short and cliffs steep. Every point is one of this curve's; first and last are kept.

        Raises
        ------
        UsageError
            `n` is below 2.
        """
        if n < 2:
            raise UsageError(f"a curve cannot be drawn with {n} points; take 2 or more")
        if len(self) <= n:
            return self
        logs = np.log(self.capacities)
        path = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(self.miss_ratio)))])
        chosen = [0, len(self) - 1]
        for scale, count in ((logs, n - n // 2), (path, n // 2)):
            chosen += np.searchsorted(scale, np.linspace(scale[0], scale[-1], count)).clip(0, len(self) - 1).tolist()
        keep = np.unique(chosen)
        bytewise = None if self.byte_miss_ratio is None else self.byte_miss_ratio[keep]
        return replace(
            self, capacities=self.capacities[keep], miss_ratio=self.miss_ratio[keep], byte_miss_ratio=bytewise
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per capacity, with the column names of `evictlab.sim.Result`, and `method` and `rate`."""
        import pandas as pd

        n_bytes = self.unit == "bytes"
        return pd.DataFrame(
            {
                "trace": pd.array([self.trace] * len(self), "string"),
                "policy": pd.array([self.policy] * len(self), "string"),
                "capacity_bytes": pd.array(self.capacities if n_bytes else [None] * len(self), "Int64"),
                "capacity_objects": pd.array([None] * len(self) if n_bytes else self.capacities, "Int64"),
                "seed": pd.array([self.seed] * len(self), "Int64"),
                "warmup": pd.array([self.warmup] * len(self), "string"),
                "requests": pd.array([self.requests] * len(self), "Int64"),
                "miss_ratio": self.miss_ratio,
                "byte_miss_ratio": np.full(len(self), np.nan) if self.byte_miss_ratio is None else self.byte_miss_ratio,
                "method": pd.array([self.method] * len(self), "string"),
                "rate": np.full(len(self), self.rate),
            }
        )

    def plot(self, metric: str = "miss_ratio") -> Figure:
        """Draw the curve; several in one picture: `evictlab.sim.curves.plot_curves`."""
        from .plot import plot_curves

        return plot_curves([self], metric)

    def __repr__(self) -> str:
        return f"Curve({self._title()}; {len(self):,} capacities, {self._shown(0)} to {self._shown(-1)})"

    def _repr_html_(self) -> str:
        from html import escape

        shown = self.points(12)
        heads = ["capacity", *(name for name in ("miss_ratio", "byte_miss_ratio") if getattr(self, name) is not None)]
        rows = "".join(
            "<tr>" + "".join(f"<td>{cell}</td>" for cell in (shown._shown(k), *shown._ratios(k))) + "</tr>"
            for k in range(len(shown))
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        head = "".join(f"<th>{name}</th>" for name in heads)
        return f"<p>{escape(self._title())}</p><table><tr>{head}</tr>{rows}</table>{notes}"

    def _title(self) -> str:
        how = "exact" if self.exact else f"{self.method}, rate {self.rate:.3g}"
        return f"{self.policy} on {self.trace}, {how}, {self.requests:,} requests"

    @functools.cached_property
    def _show(self) -> Any:
        return format_bytes if self.unit == "bytes" else lambda n: f"{format_count(n)} obj"

    def _shown(self, k: int) -> str:
        return str(self._show(int(self.capacities[k]))) if len(self) else "none"

    def _ratios(self, k: int) -> list[str]:
        columns = (self.miss_ratio, self.byte_miss_ratio)
        return [f"{column[k]:.4f}" for column in columns if column is not None]
