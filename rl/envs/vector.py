"""Many caches at once as one `gymnasium.vector.VectorEnv`: one compiled call per step, no loop over environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ...traces.errors import UsageError
from .game import Game, Observation

__all__ = ["EvictVectorEnv"]

_Steps = tuple[Observation, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]


class EvictVectorEnv(VectorEnv[Observation, npt.NDArray[np.int64], npt.NDArray[Any]]):
    """Caches side by side; each plays what `EvictEnv` plays with the same seed.

    Environment i is seeded with ``seed + i``. Played in turn, it begins with episode i and goes on with every
    `num_envs`-th. All arrays that are returned are new.

    Parameters
    ----------
    num_envs : int
        Each takes about 150 bytes of memory per object of the largest trace.
    autoreset_mode : AutoresetMode or str
        ``NextStep`` (the step after an end begins the next episode, its action is ignored), ``SameStep`` (the step that
        ends an episode already returns the first observation of the next; the last one is in ``infos["final_obs"]``), or
        ``Disabled`` (`reset` with ``options={"reset_mask": ...}``).
    **arguments
        Of `EvictEnv`.

    Raises
    ------
    UsageError
        An argument that makes no sense.
    """

    def __init__(
        self, num_envs: int = 1, *, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP, **arguments: Any
    ) -> None:
        if arguments.pop("render_mode", None) is not None:
            raise UsageError("caches side by side are not rendered; make a single environment with render_mode='ansi'")
        self.num_envs = num_envs
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.game = Game(num_envs, **arguments)
        self.single_observation_space = self.game.observation_space
        self.single_action_space = self.game.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs = [seeding.np_random()[0] for _ in range(num_envs)]
        self._numbers = np.arange(num_envs)
        self._ended = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in each environment, or in those of ``options["reset_mask"]``, bool[num_envs].

        Parameters
        ----------
        seed : int, or one per environment, optional
        options : dict, optional
            Also those of `EvictEnv`.
        """
        seeds = (
            [None if seed is None else seed + i for i in range(self.num_envs)]
            if seed is None or isinstance(seed, (int, np.integer))
            else list(seed)
        )
        if len(seeds) != self.num_envs:
            raise UsageError(f"{len(seeds)} seeds for {self.num_envs} environments")
        others = dict(options or {})
        mask = np.asarray(others.pop("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise UsageError(f"reset_mask must be bool[{self.num_envs}], not {mask.dtype}{list(mask.shape)}")
        for i in np.flatnonzero(mask):
            given = seeds[i]
            if given is not None:
                self._rngs[i], _ = seeding.np_random(given)
                self._numbers[i] = i
            self._begin(i, others)
        self._ended &= ~mask
        return self.game.observe(), self._infos(mask)

    def step(self, actions: npt.NDArray[np.int64]) -> _Steps:
        """Evict one candidate in each cache, and go on to the next decisions."""
        rewards, terminated, truncated = self.game.play(actions)
        infos: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.NEXT_STEP and self._ended.any():
            for i in np.flatnonzero(self._ended):
                self._begin(i)
            rewards[self._ended] = 0.0
            terminated &= ~self._ended
            truncated &= ~self._ended
        self._ended = terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._ended.any():
            infos = self.restart(self._ended)
        return (
            self.game.observe(),
            rewards,
            terminated,
            truncated,
            infos | self._infos(np.ones(self.num_envs, np.bool_)),
        )

    def restart(self, ended: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """Begin the next episode in the environments that are `ended`; return their last observations and infos.

        Returns
        -------
        dict
            ``final_obs`` (object[num_envs], a dict where ended, else None) and ``final_info`` with their masks.
        """
        last, totals = self.game.observe(), self._infos(ended)
        final = np.full(self.num_envs, None, object)
        for i in np.flatnonzero(ended):
            final[i] = {name: values[i].copy() for name, values in last.items()}
            self._begin(i)
        return {"final_obs": final, "_final_obs": ended.copy(), "final_info": totals, "_final_info": ended.copy()}

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Which actions make sense, bool[num_envs, k]; the first always does."""
        return self.game.allowed()

    def _begin(self, i: Any, options: dict[str, Any] | None = None) -> None:
        self.game.begin(int(i), int(self._numbers[i]), self._rngs[i], options)
        self._numbers[i] += self.num_envs

    def _infos(self, which: npt.NDArray[np.bool_]) -> dict[str, Any]:
        """How the episodes stand, as Gymnasium wants it: each array with a mask of those that it is valid for."""
        infos: dict[str, Any] = {}
        for name, values in self.game.totals().items():
            values[~which] = 0
            infos[name], infos[f"_{name}"] = values, which.copy()
        return infos
