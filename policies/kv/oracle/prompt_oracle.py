"""The keys of the prompt that all later steps together attend to least are thrown away: the best single cut (O2)."""

from __future__ import annotations

from dataclasses import dataclass

from ..actions import Action
from ..context import Prompt
from ..needs import Needs
from ..registry import KVPolicy, Session, kv_policy
from ..setting import Setting
from ._future import attention_to_come

__all__ = ["PromptOracle"]


@kv_policy(
    title="Oracle: best cut of the prompt",
    year=2026,
    source="https://arxiv.org/abs/2603.10899",
    scorer="future attention, summed over all steps",
    window="all decoding steps",
    gqa="sum",
    prompt_only=True,
    oracle=True,
)
@dataclass(frozen=True)
class PromptOracle(KVPolicy):
    """Keeps what the answer will look at.

    One cut, and the mass that is kept is a sum over slots: so the largest sums are exactly the best set, no policy that cuts
    at the end of the prompt and shares out evenly keeps more. The "ground-truth importance" of LookaheadKV (the source) is
    the same sum.
    """

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(future=True)

    def make(self, setting: Setting) -> Session:
        """Return a session."""
        return _OneCut()


class _OneCut(Session):
    def on_prompt(self, prompt: Prompt) -> list[Action]:
        return [prompt.cut(layer, attention_to_come(layer)[:, :, : prompt.n].sum(1)) for layer in prompt.layers]
