"""The truth: what an oracle would say.

Discard bits are 1 where Belady's optimum throws the object away before its next request, or there is none (the papers
leave the latter open; so defined, the bits do not depend on how the optimum breaks ties). Phase bits are 0 where the
object is requested in the next k-phase. Times are exact; an object that is not requested again is due ``10^4 n``.

Source: Antoniadis, Boyar, Eliáš, Favrholdt, Hoeksma, Larsen, Polák, Simon, "Paging with succinct predictions", ICML 2023;
for ``10^4 n``: the experiments of Antoniadis, Coester, Eliáš, Polák, Simon, "Online metric algorithms with untrusted
predictions", ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .base import KINDS, Source, predictor

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["FAR", "Truth"]

FAR = 1e4
"""In lengths of the trace: when an object is due that is never requested again."""


@predictor(title="Truth", year=2023, source="https://proceedings.mlr.press/v202/antoniadis23a.html")
@dataclass(frozen=True)
class Truth(Source):
    """What really happens next: an oracle, for bounds and as the ground on which noise is added."""

    kinds: ClassVar[tuple[str, ...]] = tuple(KINDS)

    def forecast(self, kind: str, trace: RequestTrace, capacity: int) -> Any:
        """Look into the future."""
        n = len(trace)
        if kind == "next_use":
            return np.where(trace.next_use >= n, FAR * n, trace.next_use)
        if kind == "phase":
            from .phases import not_in_next_phase, phases_of

            return not_in_next_phase(trace.ids, trace.n_objects, phases_of(trace.ids, trace.n_objects, capacity))
        from ._belady import evicted_before_next_use

        bits = evicted_before_next_use(trace.ids, trace.n_objects, trace.next_use, capacity)
        bits |= trace.next_use >= n
        return bits
