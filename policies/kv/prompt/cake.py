"""The keys that are attended to little and steadily are thrown away, most of them where attention is narrow: CAKE.

Steady because a key whose attention varies over the last queries may be wanted again; narrow because a layer that looks at
few keys needs few slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.errors import UsageError
from ..actions import Action
from ..context import Layer, Prompt, Step
from ..needs import Needs
from ..pooling import pool, reduce_heads
from ..registry import KVPolicy, Session, kv_policy
from ..setting import Setting
from ..shares import at_least

__all__ = ["Cake", "share_by_preference"]

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


@kv_policy(
    title="CAKE",
    year=2025,
    source="https://arxiv.org/abs/2503.12491",
    scorer="mean and variance of the attention of the last queries; while decoding, attention of the newest",
    window="32",
    pooling="avg 5",
    gqa="mean after pooling",
    budget="layers by entropy and variance of their attention",
)
@dataclass(frozen=True)
class Cake(KVPolicy):
    """Shares out among layers by how wide and how changeable their attention is, and goes on evicting while decoding.

    Source: https://github.com/antgroup/cakekv c4675ce. Its budgets are computed anew after each layer of the prompt and
    cut the layers before; the last computation decides, and is the one made here. It leaves prompts alone that exceed the
    budget by no more than the window; here the budget holds. While decoding it keeps slots in the order of their scores
    and then pools over neighbours in that order; here neighbours are neighbours in the text.

    Attributes
    ----------
    window, kernel : int
    pooling : {"avg", "max"}
    gqa : {"mean", "max", "none"}
    gamma : float
        Weight of a key's variance against its mean.
    tau1, tau2 : float
        A layer's preference is ``entropy ** (1 / tau1) * variance ** (1 / tau2)``. The authors set them for each model and
        size; these are for Llama-3.1-8B at 1,024 slots. They raise the variance to the power of 2.5: in another model that
        can leave a layer with little more than its window.
    """

    window: int = 32
    kernel: int = 5
    pooling: str = "avg"
    gqa: str = "mean"
    gamma: float = 200.0
    tau1: float = 1.6
    tau2: float = 0.4

    def __post_init__(self) -> None:
        if min(self.tau1, self.tau2) <= 0:
            raise UsageError(f"cake: tau1={self.tau1} and tau2={self.tau2} divide exponents: give numbers above 0")

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(weights=True, window=self.window)

    @property
    def kept_queries(self) -> int:
        """None: they are asked at the end of the prompt only."""
        return 0

    @property
    def forced(self) -> int:
        """The window."""
        return self.window

    def make(self, setting: Setting) -> Session:
        """Return a session."""
        return _Cake(self)

    def score(self, layer: Layer) -> tuple[Floats, float]:
        """Return the score of each key, float[streams of the layer, n], and the layer's preference."""
        window = min(self.window, layer.n)
        before = layer.n - window
        rows = layer.weights(window)[:, :, :before]
        scores = np.zeros((layer.setting.rows(self.gqa), layer.n), rows.dtype)
        if not before or window < 2:  # one row has no variance
            return scores, 0.0
        variance = rows.var(1, ddof=1)
        per_head = pool(rows.mean(1) + rows.dtype.type(self.gamma) * variance, self.kernel, self.pooling)
        scores[:, :before] = reduce_heads(per_head, layer.kv_heads, self.gqa)
        entropy = -float((rows * np.log(rows + rows.dtype.type(1e-10))).sum(dtype=np.float64))
        spread = float(variance.sum(dtype=np.float64))
        return scores, max(entropy, 0.0) ** (1 / self.tau1) * spread ** (1 / self.tau2)


class _Cake(Session):
    def __init__(self, policy: Cake) -> None:
        self.policy = policy

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        policy = self.policy
        scored = [policy.score(layer) for layer in prompt.layers]
        held = int(prompt.held(policy.forced).sum())
        budget = prompt.setting.budget
        shares = np.full(len(scored), budget)
        if budget < prompt.n:
            preferences = np.array([preference for _, preference in scored])
            shares = share_by_preference(preferences, (budget - held) * len(scored), prompt.n - held) + held
            (shares,) = at_least([shares], prompt.setting.protect.slots_with(policy.forced))
        actions: list[Action] = []
        for layer, (scores, _), slots in zip(prompt.layers, scored, shares.tolist(), strict=True):
            prompt.allocate(layer, np.full(len(scores), slots))
            actions.append(prompt.cut(layer, scores, policy.forced))
        return actions

    def on_step(self, step: Step) -> list[Action]:
        """Cut by the newest query's attention to what lies before the window."""
        policy = self.policy
        if not (step.count > step.budget).any():
            return []
        recent = step.ids > step.newest - policy.window
        attention = np.where(recent[:, None], step.weights.dtype.type(0), step.weights)
        if policy.gqa != "max" and policy.pooling == "avg":
            # The mean of averages is the average of means, and that has fewer rows.
            scores = pool(attention.mean(1), policy.kernel, policy.pooling)
        else:
            smooth = pool(attention, policy.kernel, policy.pooling)
            scores = smooth.max(1) if policy.gqa == "max" else smooth.mean(1)
        cut = step.cut(scores, forced=policy.forced)
        return [] if cut is None else [cut]


def share_by_preference(preferences: npt.NDArray[np.float64], total: int, most: int) -> Ints:
    """Whole slots of each layer, in proportion to its preference.

    What a layer would get beyond `most` goes to the others in equal parts, and then so does what rounding down left over;
    the first layers get the remainders. The authors stop there, and what again exceeds `most` is lost; here it goes round
    until nothing is left.

    Parameters
    ----------
    preferences : float64[layers]
    total : int
        Slots to share out, at most ``most * layers``.
    most : int
        That a layer can use.

    Returns
    -------
    int64[layers]
    """
    whole = preferences.sum()
    parts = preferences / whole if whole > 0 else np.full(len(preferences), 1 / len(preferences))
    wanted = (parts * total).astype(np.int64)
    slots = np.minimum(wanted, most)
    slots = _spread(slots, int((wanted - slots).sum()), most)
    while (left := total - int(slots.sum())) > 0 and (slots < most).any():
        slots = _spread(slots, left, most)
    return slots


def _spread(slots: Ints, left: int, most: int) -> Ints:
    """Give slots to the layers below the limit, the same to each."""
    open_ = np.flatnonzero(slots < most)
    if left and len(open_):
        slots = slots.copy()
        slots[open_] += left // len(open_)
        slots[open_[: left % len(open_)]] += 1
    return np.minimum(slots, most)
