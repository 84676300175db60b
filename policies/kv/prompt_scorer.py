"""Base of policies that rank the keys of a prompt once, at its end; on request again every so many decoding steps."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ...traces.errors import UsageError
from .actions import Action
from .context import Layer, Prompt, Step
from .registry import KVPolicy, Session
from .setting import Setting
from .shares import at_least, uniform

__all__ = ["PromptScorer"]

Floats = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True)
class PromptScorer(KVPolicy):
    """A policy that is a score for each key of the prompt, and a rule that shares out the budget.

    Attributes
    ----------
    interval : int
        0: as published, generated tokens stay. Else the scorer is asked again after every `interval` decoding steps, with
        the last queries, over what is left; each head is cut to the slots it was given, so that generated tokens count.
    """

    interval: int = dataclasses.field(default=0, kw_only=True)

    def score(self, layer: Layer) -> Floats:
        """Return the score of each key, higher = keep: float[streams of the layer, n]."""
        raise NotImplementedError

    def share(self, prompt: Prompt, scores: list[Floats]) -> list[npt.NDArray[np.int64]]:
        """Return how many slots each stream of each layer may hold."""
        return uniform(prompt, scores)

    def rank(
        self, layer: Layer, scores: Floats, counts: npt.NDArray[np.integer], held: npt.NDArray[np.bool_]
    ) -> Floats:
        """Return the scores that decide, once it is known how many slots each stream may hold.

        Parameters
        ----------
        layer : Layer
        scores : float[streams of the layer, n]
            See `score`.
        counts : int[streams of the layer]
        held : bool[streams of the layer, n]
            What stays in any case.
        """
        return scores

    @property
    def kept_queries(self) -> int:
        """The window, where it is asked again."""
        return self.needs().window if self.interval else 0

    @property
    def prompt_only(self) -> bool:
        """Whether generated tokens stay."""
        return self.interval == 0

    @property
    def slack(self) -> int:
        """Slots above the budget before the scorer is asked again."""
        return max(self.interval - 1, 0)

    def make(self, setting: Setting) -> Session:
        """Return a session.

        Raises
        ------
        UsageError
            The interval is negative.
        """
        if self.interval < 0:
            raise UsageError(
                f"{self.spec.name}: interval={self.interval} must be at least 1 step, or 0 for once, at the prompt's end"
            )
        return _Scored(self, setting)


class _Scored(Session):
    def __init__(self, policy: PromptScorer, setting: Setting) -> None:
        self.policy, self.setting = policy, setting

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        """Score all layers, share out, cut."""
        scores = [self.policy.score(layer) for layer in prompt.layers]
        shares = self.policy.share(prompt, scores)
        if self.policy.interval:
            shares = at_least(shares, self.setting.protect.slots_with(self.policy.forced))
        actions: list[Action] = []
        for layer, of_layer, counts in zip(prompt.layers, scores, shares, strict=True):
            held = np.broadcast_to(prompt.held(self.policy.forced), of_layer.shape)
            prompt.allocate(layer, counts)
            actions.append(prompt.cut(layer, self.policy.rank(layer, of_layer, counts, held), self.policy.forced))
        return actions

    def on_step(self, step: Step) -> list[Action]:
        """Score what is left, where it is time."""
        interval = self.policy.interval
        if not interval or (step.step + 1) % interval or not (step.count > step.budget).any():
            return []
        scores = np.zeros(step.ids.shape)
        held = step.protected | (step.ids > step.newest - self.policy.forced)
        for rows, layer in step.layers(self.policy.gqa):
            found = self.policy.score(layer)
            scores[rows, : layer.n] = self.policy.rank(layer, found, step.budget[rows], held[rows, : layer.n])
        cut = step.cut(scores, forced=self.policy.forced)
        return [] if cut is None else [cut]
