"""A replay buffer that also remembers what became of the candidates that were not chosen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.buffers import DictReplayBuffer

__all__ = ["HindsightBuffer", "HindsightSamples"]


class HindsightSamples(NamedTuple):
    """Transitions as `DQN` expects them, and the hindsight of each decision.

    Attributes
    ----------
    observations, next_observations : dict of float32 tensors
    actions : int64[n, 1]
    dones, rewards, discounts : float32[n, 1]
    hits, exposure : float32[n, k]
        See `evictlab.rl.engine.caches.Caches`.
    """

    observations: dict[str, torch.Tensor]
    actions: torch.Tensor
    next_observations: dict[str, torch.Tensor]
    dones: torch.Tensor
    rewards: torch.Tensor
    discounts: torch.Tensor | None
    hits: torch.Tensor
    exposure: torch.Tensor


class HindsightBuffer(DictReplayBuffer):
    """`DictReplayBuffer` with ``hits`` and ``exposure`` of every candidate, taken from the infos."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shape = (self.buffer_size, self.n_envs, int(self.action_space.n))  # type: ignore[attr-defined]
        self.hits = np.zeros(shape, np.float32)
        self.exposure = np.zeros(shape, np.float32)

    def add(  # type: ignore[override]
        self,
        obs: dict[str, npt.NDArray[Any]],
        next_obs: dict[str, npt.NDArray[Any]],
        action: npt.NDArray[Any],
        reward: npt.NDArray[Any],
        done: npt.NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Keep a transition of each environment."""
        self.hits[self.pos], self.exposure[self.pos] = infos[0]["hindsight"]
        super().add(obs, next_obs, action, reward, done, infos)

    def sample(self, batch_size: int, env: Any = None) -> HindsightSamples:  # type: ignore[override]
        """Draw transitions, each equally likely."""
        size = self.buffer_size if self.full else self.pos
        # Stable-Baselines3 seeds NumPy's global generator, and draws from it.
        at, who = (np.random.randint(0, most, batch_size) for most in (size, self.n_envs))  # noqa: NPY002
        tensor = self.to_torch
        return HindsightSamples(
            {name: tensor(array[at, who]) for name, array in self.observations.items()},
            tensor(self.actions[at, who]),
            {name: tensor(array[at, who]) for name, array in self.next_observations.items()},
            tensor(self.dones[at, who] * (1 - self.timeouts[at, who])).reshape(-1, 1),
            tensor(self.rewards[at, who]).reshape(-1, 1),
            None,
            tensor(self.hits[at, who]),
            tensor(self.exposure[at, who]),
        )
