"""Nothing is thrown away: the uncompressed cache, against which all others are measured."""

from __future__ import annotations

from dataclasses import dataclass

from ..actions import Action
from ..context import Prompt
from ..registry import KVPolicy, Session, kv_policy
from ..setting import Setting

__all__ = ["Full"]


@kv_policy(title="Full cache", year=2017, source="https://arxiv.org/abs/1706.03762", scorer="-", budget="ignored")
@dataclass(frozen=True)
class Full(KVPolicy):
    """Keeps everything, whatever the budget."""

    def make(self, setting: Setting) -> Session:
        """Return a session."""
        return _Everything(setting)


class _Everything(Session):
    def __init__(self, setting: Setting) -> None:
        self.capacity = setting.capacity

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        prompt.budgets[:] = self.capacity
        return []
