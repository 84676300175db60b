"""Learned: a small model, trained on the first part of the trace, predicts the rest from the past of each object.

The model sees the last four gaps of the object, how often it was requested, its mean gap, counts that decay, and its
size (`_features`). What it learns to say is the truth about the first part, judged within that part only: what
happens later is not looked at, and requests of which it cannot be told within the part are left out. So are its first
quarter, when hardly any object has a past, and its last, when those who will return only later look as if they never did.
So a real log can be cached by succinct predictions with no oracle.

Results count only where they are honest: requests of the first part must be warm-up (``--warmup 50%``), or the replay is
refused. During the first part every bit is 1, with which Flush-When-All-0s and the lazy Mark0 are LRU, so that no wrong zeros
fill the cache when the model begins; times are those of `last_gap`.

``trees``: gradient boosting of 60 trees with at most 8 leaves of 100 examples or more (larger trees fit the first part better,
and the rest worse); ``logistic``: logistic regression (for times: ridge
regression) on standardised features. Both by scikit-learn, from at most 200,000 requests. Times are learnt as the
logarithm of the gap. The threshold of a bit is below 1/2 because a bit that wrongly says keep costs more than one that
wrongly says go: up to 2 H_k misses against one in the guarantee of `mark0`. Threshold, features and size of the trees were
chosen on two of the traces that results are shown for (web07, webcachesim-test), on none of the others.

Source: the idea of one learned bit is that of Antoniadis et al., "Paging with succinct predictions", ICML 2023; features
and boosting follow LRB, Song, Berger, Li, Lloyd, NSDI 2020. The model here is smaller and trained once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from ...traces.errors import MissingExtraError, PredictionError, UsageError
from .base import KINDS, Source, predictor
from .last_gap import LastGap

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Learned"]

_MOST_EXAMPLES = 200_000
_AT_A_TIME = 1 << 19


@predictor(title="Learned", year=2026, source="https://www.usenix.org/conference/nsdi20/presentation/song")
@dataclass(frozen=True)
class Learned(Source):
    """A small model of past-only features, trained on the first part of the trace.

    Parameters
    ----------
    train : float
        Share of the requests that it is trained on, above 0 and below 1.
    model : str
        trees or logistic.
    threshold : float
        A bit is 1 where the model gives it at least this probability.
    seed : int
        Of the choice of examples.
    """

    kinds: ClassVar[tuple[str, ...]] = tuple(KINDS)

    train: float = 0.5
    model: str = "trees"
    threshold: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.train < 1:
            raise UsageError(f"learned: train={self.train:g} is no share above 0 and below 1")
        if not 0 < self.threshold < 1:
            raise UsageError(f"learned: threshold={self.threshold:g} is no probability above 0 and below 1")
        if self.model not in ("trees", "logistic"):
            raise UsageError(f"learned: model={self.model!r} is neither trees nor logistic")

    def seen(self, trace: RequestTrace) -> int:
        """Return the length of the first part."""
        return int(self.train * len(trace))

    def forecast(self, kind: str, trace: RequestTrace, capacity: int) -> Any:
        """Train on the first part, predict the rest.

        Raises
        ------
        MissingExtraError
            Without scikit-learn.
        PredictionError
            The first part has nothing to learn from.
        """
        from ._features import features

        end = self.seen(trace)
        known = features(trace)
        targets, decided = _targets(kind, trace, end, capacity)
        decided[: end // 4] = False
        decided[3 * end // 4 :] = False
        examples = np.flatnonzero(decided)
        if len(examples) == 0:
            raise PredictionError(
                f"{self.label}: nothing can be learnt from the first {end:,} requests of {trace.name} for {capacity:,} objects"
            )
        if len(examples) > _MOST_EXAMPLES:
            rng = np.random.default_rng(self.seed)
            examples = np.sort(rng.choice(examples, _MOST_EXAMPLES, replace=False))
        predicted = np.ones(len(trace))
        if kind == "next_use":
            predicted[:end] = LastGap().forecast(kind, trace, capacity)[:end]
        wanted = targets[examples]
        if wanted.min() == wanted.max():
            predicted[end:] = wanted[0]
        else:
            fitted = self._fitted(kind, known[examples], wanted)
            for begin in range(end, len(trace), _AT_A_TIME):
                part = slice(begin, min(begin + _AT_A_TIME, len(trace)))
                predicted[part] = self._said(kind, fitted, known[part])
        if kind == "next_use":
            predicted[end:] = np.arange(end, len(trace)) + 2.0 ** np.minimum(predicted[end:], 60)
        return predicted

    def _fitted(self, kind: str, known: npt.NDArray[np.float32], wanted: Any) -> Any:
        try:
            from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
            from sklearn.linear_model import LogisticRegression, Ridge
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import StandardScaler
        except ImportError:
            raise MissingExtraError("a learned predictor", "predict") from None
        bits = kind != "next_use"
        if self.model == "logistic":
            chosen: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000) if bits else Ridge())
        else:
            boosting = HistGradientBoostingClassifier if bits else HistGradientBoostingRegressor
            chosen = boosting(
                max_iter=60, max_leaf_nodes=8, min_samples_leaf=100, early_stopping=False, random_state=self.seed
            )
        return chosen.fit(known, wanted)

    def _said(self, kind: str, fitted: Any, known: npt.NDArray[np.float32]) -> Any:
        if kind == "next_use":
            return fitted.predict(known)
        return fitted.predict_proba(known)[:, 1] >= self.threshold


def _targets(kind: str, trace: RequestTrace, end: int, capacity: int) -> tuple[Any, npt.NDArray[np.bool_]]:
    """What to learn for each of the first `end` requests, and for which of them that part alone tells."""
    ids = trace.ids[:end]
    next_use = np.where(trace.next_use[:end] < end, trace.next_use[:end], end).astype(np.int64)
    again = next_use < end
    if kind == "next_use":
        # Not requested again within the part: at least as far as its end, and taken as twice the part.
        gaps = np.where(again, next_use - np.arange(end), 2 * end)
        return np.log2(gaps), np.ones(end, np.bool_)
    if kind == "phase":
        from .phases import not_in_next_phase, phases_of

        phases = phases_of(ids, trace.n_objects, capacity)
        return not_in_next_phase(ids, trace.n_objects, phases), phases < phases[-1] - 1
    from ._belady import evicted_before_next_use

    evicted = evicted_before_next_use(ids, trace.n_objects, next_use, capacity)
    return evicted, again | (evicted == 1)
