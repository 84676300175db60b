"""What a scorer sees of one layer: keys, and the queries at their end. It is causal, and holds what was declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...traces.errors import CapabilityError, EvictlabError, UsageError
from .needs import Needs
from .setting import Rotary, Setting

__all__ = ["FutureError", "Layer", "UndeclaredError"]

Floats = npt.NDArray[np.floating]


class UndeclaredError(EvictlabError):
    """A policy read what its needs do not declare."""

    def __init__(self, what: str, declare: str) -> None:
        super().__init__(f"the policy reads {what} without having declared it; let needs() return Needs({declare})")


class FutureError(EvictlabError):
    """A policy asked for what happens after the newest token."""


def _shown(table: Floats) -> Floats:
    """To be looked at only: a trace's arrays serve all policies."""
    seen = np.asarray(table).view()
    seen.flags.writeable = False
    return seen


def _some(window: int) -> None:
    if window < 1:
        raise UsageError(f"window={window}: a policy that asks the last queries asks at least the newest one, window=1")


@dataclass
class Layer:
    """One layer's cache as a scorer sees it: n keys, and the queries at their end.

    Attributes
    ----------
    index : int
        Number of the layer among those replayed.
    n : int
        Keys: positions 0 .. n-1 of a prompt, or the live slots of a cache in their order.
    setting : Setting
    needs : Needs
    rotary : Rotary
    streams : slice
        Its streams among all.
    sources : dict of str to callable
        What computes each part when it is asked for.
    missing_queries : int
        Queries of the prompt that were not recorded, the first ones.
    window : int or None
        Sliding window of the layer.
    """

    index: int
    n: int
    setting: Setting
    needs: Needs
    rotary: Rotary
    streams: slice
    sources: dict[str, Callable[..., Any]] = field(repr=False, default_factory=dict)
    missing_queries: int = 0
    window: int | None = None

    @property
    def gone(self) -> npt.NDArray[np.bool_]:
        """Keys of a prompt that the layer's sliding window takes from the next query, whatever the policy: bool[n]."""
        ids = np.arange(self.n)
        return ids <= self.n - (self.n + 1 if self.window is None else self.window)

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.setting.heads

    @property
    def kv_heads(self) -> int:
        """KV heads."""
        return self.setting.kv_heads

    def _declared(self, ok: bool, what: str, declare: str) -> None:
        if not ok:
            raise UndeclaredError(what, declare)

    def _source(self, name: str) -> Callable[..., Any]:
        if name not in self.sources:
            raise CapabilityError(
                f"{name.replace('_', ' ')} are known at the end of a prompt only, and the policy asks for them while decoding; "
                "let it score once: interval=0"
            )
        return self.sources[name]

    def weights(self, window: int) -> Floats:
        """Attention of the last `window` queries: [heads, window, n], causal, each row sums to 1."""
        _some(window)
        self._declared(window <= self.needs.window, f"a window of {window} rows of attention", f"window={window}")
        return np.asarray(self._source("weights")(window))

    def queries(self, window: int) -> Floats:
        """The last `window` queries as used, rotated: [heads, window, head_dim]."""
        _some(window)
        self._declared(window <= self.needs.queries, f"the last {window} queries", f"queries={window}")
        return _shown(self._source("queries")(window))

    @property
    def columns(self) -> Floats:
        """Attention that each key got from all queries of the prompt, summed: [heads, n]."""
        self._declared(self.needs.columns, "column sums", "columns=True")
        return _shown(self._source("columns")())

    @property
    def keys(self) -> Floats:
        """Keys as cached, rotated: [kv_heads, n, head_dim].

        While decoding of each stream: of each query head, where each has a set of its own.
        """
        self._declared(self.needs.keys, "keys", "keys=True")
        return _shown(self._source("keys")())

    @property
    def values(self) -> Floats:
        """Values: [kv_heads, n, head_dim]; while decoding of each stream, as for keys."""
        self._declared(self.needs.values, "values", "values=True")
        return _shown(self._source("values")())

    @property
    def projected_norms(self) -> Floats:
        """L1 norm of each value after the part of the output projection that belongs to a query head: [heads, n]."""
        self._declared(self.needs.projection, "projected values", "projection=True")
        return np.asarray(self._source("projected_norms")())

    @property
    def query_statistics(self) -> tuple[Floats, Floats]:
        """Mean [heads, head_dim] and covariance [heads, head_dim, head_dim] of queries before rotation.

        Of the prompt's queries after the first four (sinks).
        """
        self._declared(self.needs.query_statistics, "statistics of queries", "query_statistics=True")
        mean, covariance = self._source("query_statistics")()
        return np.asarray(mean), np.asarray(covariance)

    @property
    def tokens(self) -> npt.NDArray[np.int32]:
        """Token ids: [n]."""
        self._declared(self.needs.tokens, "token ids", "tokens=True")
        return np.asarray(self._source("tokens")())

    @property
    def future(self) -> Floats:
        """Attention of each later step by the uncompressed cache: [heads, steps, positions]. For oracles only.

        The first n positions are these keys, the others those of tokens to come.
        """
        self._declared(self.needs.future, "the future", "future=True")
        return _shown(self._source("future")())
