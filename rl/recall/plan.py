"""How the recall model is trained: sizes of the steps, stages from easy to hard, and when to stop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...traces.errors import UsageError

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """How to train.

    Parameters
    ----------
    seed : int
        Of the first weights and of all sequences.
    batch : int
        Sequences of a step.
    rate : float
        AdamW's learning rate, reached after `warm_up` steps.
    warm_up : int
    decay : float
        AdamW's weight decay.
    stages : sequence of (int, int)
        Tokens of a sequence and pairs in its prompt, from easy to hard.
    advance : float
        Running accuracy at which the next stage begins.
    judged : sequence of (int, int)
        Tokens and pairs of the sequences that decide when to stop, and of those that are reported.
    target : float
        Accuracy to reach in each of them.
    judge_every : int
        Steps between two judgements, and between two checkpoints.
    sequences : int
        How many are judged and reported of each kind.
    """

    seed: int = 0
    batch: int = 32
    rate: float = 2e-3
    warm_up: int = 20
    decay: float = 0.01
    stages: Sequence[Sequence[int]] = ((64, 8), (128, 16), (256, 32), (512, 32))
    advance: float = 0.9
    judged: Sequence[Sequence[int]] = ((256, 32), (512, 32), (512, 64))
    target: float = 0.99
    judge_every: int = 20
    sequences: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.target <= 1:
            raise UsageError(f"recall training: target={self.target} is no accuracy; give a share above 0, at most 1")

    def plain(self) -> dict[str, Any]:
        """Return the plan as JSON would give it back."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found
