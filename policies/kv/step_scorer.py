"""Base of policies that keep a score for each slot while decoding and evict the lowest."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from .actions import Action
from .context import Layer, Prompt, Step
from .registry import KVPolicy, Session
from .setting import Setting
from .shares import uniform

__all__ = ["ScoredSession", "StepScorer", "at_ids"]

Floats = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True)
class StepScorer(KVPolicy):
    """A policy with a score for each slot, at the end of the prompt and at each step; `session` keeps what it needs."""

    def session(self, setting: Setting) -> ScoredSession:
        """Return the policy's own session."""
        raise NotImplementedError

    def make(self, setting: Setting) -> Session:
        """Return a session."""
        return self.session(setting)


class ScoredSession(Session):
    """Cuts each stream to its budget by `prompt_scores` and, after every step, by `scores`.

    Parameters
    ----------
    policy : StepScorer
    setting : Setting
    every : int
        Steps between two cuts; 1 cuts after each step, and a stream exceeds its budget by up to ``every - 1`` in between.
    """

    def __init__(self, policy: StepScorer, setting: Setting, every: int = 1) -> None:
        self.policy, self.setting, self.every = policy, setting, every

    def prompt_scores(self, layer: Layer) -> Floats | None:
        """Return the score of each key of the prompt: float[streams of the layer, n]; None evicts nothing yet."""
        raise NotImplementedError

    def observe(self, step: Step) -> None:
        """Learn from a step, whether or not something leaves after it."""

    def scores(self, step: Step) -> Floats:
        """Return the score of each live slot: float[streams, slots]."""
        raise NotImplementedError

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        """Score and cut."""
        actions: list[Action] = []
        for layer in prompt.layers:
            scores = self.prompt_scores(layer)
            if scores is not None:
                (counts,) = uniform(prompt, [scores])
                prompt.allocate(layer, counts)
                actions.append(prompt.cut(layer, scores, self.policy.forced))
        return actions

    def on_step(self, step: Step) -> list[Action]:
        """Observe, and cut where it is time."""
        self.observe(step)
        if (step.step + 1) % self.every or not (step.count > step.budget).any():
            return []
        cut = step.cut(self.scores(step), forced=self.policy.forced)
        return [] if cut is None else [cut]


def at_ids(table: npt.NDArray[np.generic], step: Step) -> npt.NDArray[np.generic]:
    """Look up numbers kept by slot id: table[streams, capacity] -> [streams, slots]; at no slot, anything."""
    return np.take_along_axis(table[step.streams], np.maximum(step.ids, 0), axis=1)
