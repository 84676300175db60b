"""The caches side by side as Stable-Baselines3 wants environments: a `VecEnv` without a loop over them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import Wrapper
from gymnasium.vector import AutoresetMode

from ...traces.errors import MissingExtraError, UsageError
from .game import Observation
from .vector import EvictVectorEnv

try:
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError as error:
    raise MissingExtraError("an environment for Stable-Baselines3", "rl") from error

__all__ = ["StableEvictEnv"]


class StableEvictEnv(VecEnv):
    """`EvictVectorEnv` for the learners of Stable-Baselines3 and sb3-contrib (``action_masks`` for `MaskablePPO`).

    The infos are empty except at the end of an episode: ``terminal_observation``, ``TimeLimit.truncated``, the totals of
    `EvictEnv`, and ``episode`` with the sum of the rewards (``r``), the steps (``l``) and the seconds since the
    beginning (``t``), as `Monitor` tells them.

    Parameters
    ----------
    num_envs : int
    **arguments
        Of `EvictEnv`.

    Examples
    --------
    >>> from sb3_contrib import MaskablePPO
    >>> envs = StableEvictEnv(2, trace="zipf:requests=2000,objects=200", capacity="20obj", k=4)
    >>> learner = MaskablePPO("MultiInputPolicy", envs, n_steps=8, batch_size=8, n_epochs=1).learn(16)
    """

    def __init__(self, num_envs: int, **arguments: Any) -> None:
        self.envs = EvictVectorEnv(num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **arguments)
        super().__init__(num_envs, self.envs.single_observation_space, self.envs.single_action_space)
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._began = time.perf_counter()
        self._actions: Any = None

    def reset(self) -> Observation:
        """Begin an episode in each environment, with the seeds and options that were set."""
        seen, _ = self.envs.reset(seed=self._seeds, options=self._options[0])
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self._reset_seeds()
        self._reset_options()
        return seen

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take note of the actions."""
        self._actions = actions

    def step_wait(self) -> tuple[Observation, npt.NDArray[np.float32], npt.NDArray[np.bool_], list[dict[str, Any]]]:
        """Evict, go on to the next decisions, and begin new episodes where one has ended."""
        game = self.envs.game
        rewards, terminated, truncated = game.play(self._actions)
        self._returns += rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = terminated | truncated
        if ended.any():
            at = np.flatnonzero(ended)
            totals = [game.totals_of(int(i)) for i in at]
            last = self.envs.restart(ended)["final_obs"]
            for i, total in zip(at, totals, strict=True):
                infos[i] = {
                    **total,
                    "terminal_observation": last[i],
                    "TimeLimit.truncated": bool(truncated[i]),
                    "episode": {
                        "r": float(self._returns[i]),
                        "l": int(self._lengths[i]),
                        "t": time.perf_counter() - self._began,
                    },
                }
            self._returns[ended] = 0.0
            self._lengths[ended] = 0
        return game.observe(), rewards.astype(np.float32), ended, infos

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Which actions make sense, bool[num_envs, k]."""
        return self.envs.action_masks()

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of the whole, once for each environment; ``action_masks`` of each."""
        value = getattr(self.envs, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: these environments have nothing of their own that could be set.

        Raises
        ------
        UsageError
        """
        raise UsageError(f"{attr_name!r} cannot be set on caches that are compiled side by side; make new environments")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method that answers for all environments at once, and return the answers of those that are asked."""
        answers: Sequence[Any] = getattr(self.envs, method_name)(*method_args, **method_kwargs)
        return [answers[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Wrapper[Any, Any, Any, Any]], indices: Any = None) -> list[bool]:
        """Say yes for `Monitor`, whose statistics are in the infos, and for nothing else."""
        return [issubclass(wrapper_class, Monitor) for _ in self._get_indices(indices)]
