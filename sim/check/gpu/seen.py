"""What the simulator's slots held when each step's queries read them: beside the log, so that the log itself is checked."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt

from ....policies.kv.actions import Action, Select
from ....policies.kv.context import Prompt, Step
from ....policies.kv.registry import KVPolicy, Session

__all__ = ["Seen", "watched"]

Seen = list[npt.NDArray[np.int32]]
"""Of each decoding step, int32[streams, slots]: the ids that its queries found, ascending, then -1."""


class _Watching(Session):
    """Hands everything on to the policy's session, and notes what the engine's slots hold."""

    def __init__(self, session: Session, seen: Seen) -> None:
        self.session, self.seen = session, seen

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        return self.session.on_prompt(prompt)

    def on_step(self, step: Step) -> list[Action]:
        if step.streams.start == 0:
            self.seen.append(step.ids.copy())
        else:  # layer by layer
            self.seen[-1] = _stacked(self.seen[-1], step.ids)
        return self.session.on_step(step)

    def select(self, step: Step) -> Select | None:
        return self.session.select(step)


def watched(policy: KVPolicy, seen: Seen) -> KVPolicy:
    """Return the same policy, whose sessions append to `seen` at every step."""
    made = copy.copy(policy)
    object.__setattr__(made, "make", lambda setting: _Watching(policy.make(setting), seen))  # parameters are frozen
    return made


def _stacked(above: npt.NDArray[np.int32], below: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    width = max(above.shape[1], below.shape[1])
    parts = [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in (above, below)]
    return np.concatenate(parts)
