"""The environments in which the DQN learns: games of a library side by side, with hindsight where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from ...policies.learned.facts import MISSING, N_CONTEXT, N_FEATURES
from ..engine.caches import BOUNDED, HITS, PAPER, Caches, Goal
from .hindsight import Game

if TYPE_CHECKING:
    from ..engine.library import Library

__all__ = ["Arena"]


class Arena(VecEnv):
    """Games of a library, each environment going on to the next game when one has ended.

    What `evictlab.rl.envs.stable.StableEvictEnv` is for users, this is for our own training: it plays given games, each
    with its horizon, and tells ``hindsight`` = (hits, exposure) in the first info.

    Parameters
    ----------
    library : Library
    games : sequence of Game
    n : int
    k, tail : int
    reward : str
    most : float
    hindsight : bool
    seed : int
    """

    def __init__(
        self,
        library: Library,
        games: Sequence[Game],
        n: int,
        *,
        k: int,
        tail: int,
        reward: str,
        most: float,
        hindsight: bool,
        seed: int = 0,
    ) -> None:
        space = spaces.Dict(
            {
                "candidates": spaces.Box(MISSING, np.inf, (k, N_FEATURES), np.float32),
                "context": spaces.Box(0, np.inf, (N_CONTEXT,), np.float32),
            }
        )
        super().__init__(n, space, spaces.Discrete(k))
        kind = {"bounded": BOUNDED, "paper": PAPER, "hits": HITS}[reward]
        self._caches = Caches(library, n, k=k, tail=tail, goal=Goal(kind, 1, most), hindsight=hindsight, seed=seed)
        self._games, self._next, self._hindsight = games, 0, hindsight
        self._rng = np.random.default_rng(seed)
        self._order: list[int] = []
        self._actions: Any = None

    def _begin(self, i: int) -> None:
        if not self._order:
            self._order = self._rng.permutation(len(self._games)).tolist()
        game = self._games[self._order.pop()]
        self._caches.begin(i, game.trace, game.capacity, game.start, game.stop, horizon=game.horizon)

    def _seen(self) -> dict[str, npt.NDArray[np.float32]]:
        return {"candidates": self._caches.rows.copy(), "context": self._caches.context.copy()}

    def reset(self) -> dict[str, npt.NDArray[np.float32]]:
        """Begin a game in each environment."""
        for i in range(self.num_envs):
            self._begin(i)
        return self._seen()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take note of the actions."""
        self._actions = np.asarray(actions, np.int64)

    def step_wait(self) -> tuple[Any, npt.NDArray[np.float32], npt.NDArray[np.bool_], list[dict[str, Any]]]:
        """Evict, and begin other games where one has ended."""
        caches = self._caches
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if self._hindsight:
            infos[0]["hindsight"] = (caches.hits.copy(), caches.exposure.copy())
        caches.step(self._actions)
        rewards, done = caches.rewards.astype(np.float32), caches.done.copy()
        if done.any():
            last = self._seen()
            for i in np.flatnonzero(done):
                infos[i]["terminal_observation"] = {name: part[i] for name, part in last.items()}
                self._begin(int(i))
        return self._seen(), rewards, done, infos

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute, the same for all."""
        return [getattr(self, attr_name, None) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing can be set."""
        raise AttributeError(attr_name)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """There are no methods of single environments."""
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Nothing is."""
        return [False for _ in self._get_indices(indices)]
