"""The set of slots is thrown away whose loss costs least attention mass over the whole text: Belady for attention (O3).

With the future known, a hard cap and no way back, "who leaves when" is an assignment problem. A cache that is full loses
exactly one slot after each step, and at the end of the prompt as many as are too many; to keep a slot longer than needed never
costs mass. So every position gets a moment to leave: one moment after each step, `budget` places among those who stay to the
end, and whoever of the prompt gets neither leaves with the prompt. A position that leaves after step t is worth the attention
that it got until then. Tokens cannot leave before they came, nor while they are protected.

The linear program with a variable for each position and step has the same optimum (so has an exhaustive search: both are in
the tests); the assignment has a row for each step and kept slot, and is solved a hundred times faster: 0.01 s instead of 0.9 s
for a stream of 128 + 128 tokens and 64 slots. One of 768 + 128 tokens takes 0.01 to 0.2 s, of 2,048 + 512 about 3 s, of
4,096 + 1,024 about 20 s; so nothing is decided in chunks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..actions import Action, Evict
from ..context import Prompt, Step
from ..needs import Needs
from ..protect import Protect
from ..registry import KVPolicy, Session, kv_policy
from ..setting import Setting
from ..step_scorer import at_ids
from ._future import attention_to_come

__all__ = ["BeladyMass", "departures"]

PROMPT = -1
"""Leaves at the end of the prompt."""


@kv_policy(
    title="Oracle: Belady of attention mass",
    year=1966,
    source="https://doi.org/10.1147/sj.52.0078",
    scorer="the best schedule of departures",
    window="all decoding steps",
    gqa="sum",
    oracle=True,
)
@dataclass(frozen=True)
class BeladyMass(KVPolicy):
    """Keeps the most attention mass that any cache of `budget` slots per stream can keep.

    Mass is that of the uncompressed cache, summed over steps and the query heads of the stream. As for all policies here a
    step's queries attend before a slot leaves, and so see the budget and their own token. It is the optimum among those
    that share out evenly, and an optimum of mass, not of output error.
    """

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(future=True)

    def make(self, setting: Setting) -> Session:
        """Return a session."""
        return _Schedule(setting)


class _Schedule(Session):
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.leaves: npt.NDArray[np.int32] = np.full(
            (setting.streams("mean"), setting.capacity), np.iinfo(np.int32).max, np.int32
        )

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        """Find the schedules of all streams."""
        setting = self.setting
        if setting.budget >= setting.capacity:
            return []
        actions: list[Action] = []
        for layer in prompt.layers:
            for row, gains in enumerate(attention_to_come(layer), layer.streams.start):
                self.leaves[row, : gains.shape[1]] = departures(gains, prompt.n, setting.budget, setting.protect)
            row_at, ids = np.nonzero(self.leaves[layer.streams, : prompt.n] == PROMPT)
            actions.append(Evict((row_at + layer.streams.start).astype(np.int32), ids.astype(np.int32)))
        return actions

    def on_step(self, step: Step) -> list[Action]:
        """Carry them out; what has slid out of a layer's window needs no leave."""
        row, place = np.nonzero((at_ids(self.leaves, step) == step.step) & step.live)
        return [Evict((row + step.streams.start).astype(np.int32), step.ids[row, place])]


def departures(
    gains: npt.NDArray[np.floating], prompt: int, budget: int, protect: Protect | None = None
) -> npt.NDArray[np.int32]:
    """Who leaves when, so that the most is gained.

    Parameters
    ----------
    gains : float[steps, positions]
        What each position gains at each step, if it is there: at least 0, and 0 before it comes.
    prompt : int
        Positions that are there at the beginning; position ``prompt + t`` comes at step t, and is seen by it in any case.
    budget : int
        How many may be there between two steps.
    protect : Protect, optional

    Returns
    -------
    int32[positions]
        The step after which a position leaves; `PROMPT`: before the first one; the number of steps: never.
    """
    from scipy.optimize import linear_sum_assignment

    steps, positions = gains.shape
    place, none = np.arange(positions, dtype=np.int32), protect or Protect()
    gained = np.cumsum(gains, axis=0, dtype=np.float64)
    value = np.concatenate([gained, np.broadcast_to(gained[-1], (budget, positions))])
    for step in range(steps):
        value[step, (place > prompt + step) | none.mask(place, prompt + step, prompt)] = -np.inf
    # Those who cannot leave with the prompt must get a moment of their own, whatever others would gain by it.
    bound = (place >= prompt) | none.mask(place, prompt - 1, prompt)
    value[:, bound] += 2 * gained[-1].sum() + 1
    moments, leaving = linear_sum_assignment(value, maximize=True)
    found = np.full(positions, PROMPT, np.int32)
    found[leaving] = np.minimum(moments, steps)
    return found
