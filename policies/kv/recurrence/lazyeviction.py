"""The slots whose time to be looked at again has long passed are thrown away, every so many steps: LazyEviction.

Zhang et al., "LazyEviction: lagged KV eviction with attention pattern observation" (https://arxiv.org/abs/2506.15969); the
code read is a copy in WeianMao/triattention e7a0eb18 (folder LazyEviction). At decoding step t = 1, 2, ... each slot that gets
at least `alpha` of the attention is noted: its longest interval ``mri = max(mri, t - last)``, then ``last = t``. A new slot
begins with ``last = t - 1``, the prompt's with 0, all with ``mri = 0``. After every `window` steps a stream above its budget
keeps its newest `window` slots and those of the largest ::

    2 / (1 + exp(1 + (t - last) / (mri + 1e-5))) + [mri > 0] 2 / (1 + exp(mri - 1))

The prompt may leave, sinks too. Scores are made of two small integers and tie often: the older slot leaves first.

Different from that code: it keeps a set for each query head and stores keys and values as often (``gqa=none``; so many slots
are then `heads / kv_heads` times the bytes). Here heads that share a KV head share its slots, and their mean attention is
compared with `alpha`. It evicts nothing at the end of the prompt; here the budget holds from there on, so that a longer
prompt is cut by the same score: its last `window` queries (or as many as were recorded) count as steps 1 - window ... 0, and
what they showed is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..context import Layer, Step
from ..needs import Needs
from ..pooling import reduce_heads
from ..registry import kv_policy
from ..setting import Setting
from ..step_scorer import ScoredSession, StepScorer

__all__ = ["LazyEviction", "recurrence_score"]

Ints = npt.NDArray[np.integer]


@kv_policy(
    title="LazyEviction",
    year=2025,
    source="https://arxiv.org/abs/2506.15969",
    scorer="time since last use against the longest interval between uses",
    window="every decoding step",
    gqa="mean (none: the authors' code)",
)
@dataclass(frozen=True)
class LazyEviction(StepScorer):
    """Keeps what is likely to be looked at again; waits before it evicts.

    Attributes
    ----------
    window : int
        Steps between evictions, and newest slots that stay; the authors' launchers set 27 to 363 by model and task (52: an 8B
        Llama on MATH).
    alpha : float
        Attention that counts as a use; 5e-4 for their Llama, 1e-4 for their Qwen.
    gqa : {"mean", "max", "none"}
    """

    window: int = 52
    alpha: float = 5e-4
    gqa: str = "mean"

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 < self.alpha <= 1:
            raise UsageError(
                f"lazyeviction: window={self.window} must be at least 1, alpha={self.alpha} above 0 and at most 1"
            )

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(weights=True, window=self.window)

    @property
    def kept_queries(self) -> int:
        """None: they are asked at the end of the prompt only."""
        return 0

    @property
    def forced(self) -> int:
        """The newest slots."""
        return self.window

    @property
    def slack(self) -> int:
        """What comes between two evictions."""
        return self.window - 1

    @property
    def metadata_bytes(self) -> int:
        """Two int32: step of the last use, longest interval."""
        return 8

    def session(self, setting: Setting) -> ScoredSession:
        """Return a session."""
        return _Recurrences(self, setting)


class _Recurrences(ScoredSession):
    policy: LazyEviction

    def __init__(self, policy: LazyEviction, setting: Setting) -> None:
        super().__init__(policy, setting, every=policy.window)
        self.last = np.zeros((setting.streams(policy.gqa), setting.capacity), np.int32)
        self.interval = np.zeros_like(self.last)

    def _note(self, streams: slice, ids: Ints, given: npt.NDArray[np.floating], t: int) -> None:
        row, place = np.nonzero(given >= self.policy.alpha)
        at = (row + streams.start, ids[row, place])
        self.interval[at] = np.maximum(self.interval[at], t - self.last[at])
        self.last[at] = t

    def prompt_scores(self, layer: Layer) -> npt.NDArray[np.floating] | None:
        if layer.n <= self.setting.budget:
            return None
        asked = min(self.policy.window, layer.n - layer.missing_queries)
        given = reduce_heads(layer.weights(asked), layer.kv_heads, self.policy.gqa)
        ids = np.broadcast_to(np.arange(layer.n), (len(given), layer.n))
        self.last[layer.streams, : layer.n] = np.maximum(np.arange(layer.n) - layer.n, -asked)
        for query in range(asked):
            self._note(layer.streams, ids, given[:, query], query - asked + 1)
        return recurrence_score(0, self.last[layer.streams, : layer.n], self.interval[layer.streams, : layer.n])

    def observe(self, step: Step) -> None:
        self.last[step.streams, step.newest] = step.step
        given = reduce_heads(step.weights.reshape(-1, step.ids.shape[1]), len(step.ids), self.policy.gqa)
        self._note(step.streams, step.ids, given, step.step + 1)

    def scores(self, step: Step) -> npt.NDArray[np.floating]:
        rows = np.arange(step.streams.start, step.streams.stop)[:, None]
        return recurrence_score(step.step + 1, self.last[rows, step.ids], self.interval[rows, step.ids])


def recurrence_score(t: int, last: Ints, interval: Ints) -> npt.NDArray[np.float64]:
    """How likely slots are to be looked at again, from the step of their last use and their longest interval."""
    with np.errstate(over="ignore"):  # an exponential that overflows is a score of 0
        waited = 2 / (1 + np.exp(1 + (t - last) / (interval + 1e-5)))
        rhythm = np.where(interval > 0, 2 / (1 + np.exp(interval - 1.0)), 0)
    return np.asarray(waited + rhythm)
