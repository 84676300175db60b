"""Nothing is thrown away; a query reads the pages that may hold large logits: Quest.

Tang et al., "Quest: query-aware sparsity for efficient long-context LLM inference" (https://arxiv.org/abs/2406.10774); code:
mit-han-lab/Quest 01c1623. Keys lie in pages of 16. For each page the smallest and the largest value of each channel are kept;
no logit in it can exceed ``sum over channels of max(q * smallest, q * largest)``. Each query head reads the pages of the
largest bounds, as many as fit into the budget but at least three; ties: the older page is left out. Heads that share a KV
head choose each for themselves, and what any of them reads is counted as read. The first two layers of the model read
everything.

Memory is not saved, only reading: the budget is one of slots read. What is kept for a page takes as much as one slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..actions import Action, Select
from ..context import Prompt, Step
from ..cut import top
from ..needs import Needs
from ..registry import KVPolicy, Session, kv_policy
from ..setting import Setting

__all__ = ["Quest"]

Floats = npt.NDArray[np.floating]
LEAST_PAGES = 3
ELEMENT_BYTES = 2
"""Of what is kept for a page, for the bytes that are read in order to choose."""


@kv_policy(
    title="Quest",
    year=2024,
    source="https://arxiv.org/abs/2406.10774",
    scorer="upper bound of the logits in a page",
    window="1",
    gqa="none: each query head reads pages of its own",
    budget="slots read, not slots held; first layers dense",
)
@dataclass(frozen=True)
class Quest(KVPolicy):
    """Keeps everything and reads the promising pages.

    Attributes
    ----------
    page : int
        Tokens of a page.
    dense : int
        First layers of the model that read everything.
    """

    page: int = 16
    dense: int = 2

    def __post_init__(self) -> None:
        if self.page < 1:
            raise UsageError(f"quest: page={self.page} must be at least 1")

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(queries=1, keys=True)

    @property
    def selects(self) -> bool:
        """It does."""
        return True

    def metadata_of(self, slot_bytes: int) -> float:
        """Bytes kept beside each slot: two keys' worth for each page."""
        return slot_bytes / self.page

    def make(self, setting: Setting) -> Session:
        """Return a session."""
        return _Pages(self, setting)


class _Pages(Session):
    def __init__(self, policy: Quest, setting: Setting) -> None:
        self.policy, self.setting = policy, setting
        self.least: Floats | None = None
        self.most: Floats | None = None
        rows = setting.sequences * setting.rows(policy.gqa)
        indices = setting.indices or tuple(range(setting.layers))
        self.dense = np.repeat(np.array(indices) < policy.dense, rows)

    def _tables(self, dtype: np.dtype[np.floating]) -> tuple[Floats, Floats]:
        if self.least is None or self.most is None:
            pages = -(-self.setting.capacity // self.policy.page)
            shape = (self.setting.streams(self.policy.gqa), pages, self.setting.head_dim)
            self.least, self.most = np.full(shape, np.inf, dtype), np.full(shape, -np.inf, dtype)
        return self.least, self.most

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        least_read = max(self.setting.budget, LEAST_PAGES * self.policy.page)
        prompt.budgets[:] = np.where(self.dense, self.setting.capacity, least_read)
        starts = np.arange(0, prompt.n, self.policy.page)
        for layer in prompt.layers:
            least, most = self._tables(layer.keys.dtype)
            least[layer.streams, : len(starts)] = np.minimum.reduceat(layer.keys, starts, axis=1)
            most[layer.streams, : len(starts)] = np.maximum.reduceat(layer.keys, starts, axis=1)
        return []

    def select(self, step: Step) -> Select:
        key, last = step.newest_keys, step.newest // self.policy.page
        least, most = (table[step.streams] for table in self._tables(key.dtype))
        least[:, last] = np.minimum(least[:, last], key)
        most[:, last] = np.maximum(most[:, last], key)
        least, most = least[:, : last + 1], most[:, : last + 1]

        queries = step.queries(1)[:, :, 0]
        bound = np.maximum(queries, 0) @ most.swapaxes(1, 2) + np.minimum(queries, 0) @ least.swapaxes(1, 2)
        page = np.maximum(step.ids, 0) // self.policy.page
        there = np.zeros((len(page), last + 1), bool)  # a layer's sliding window may have emptied a page
        there[np.nonzero(step.live)[0], page[step.live]] = True
        bound = np.where(there[:, None], bound, -np.inf)
        pages = max(min(self.setting.budget, step.newest + 1) // self.policy.page, LEAST_PAGES)
        chosen = top(bound.reshape(-1, last + 1), pages).reshape(bound.shape)
        dense = self.dense[step.streams]
        chosen[dense] = True
        wanted = np.broadcast_to(page[:, None], (*bound.shape[:2], page.shape[1]))
        read = np.take_along_axis(chosen, wanted, axis=2) & step.live[:, None]
        looked_at = 2 * self.setting.head_dim * ELEMENT_BYTES * int(there[~dense].sum())
        return Select(read, looked_at // max(len(page), 1))
