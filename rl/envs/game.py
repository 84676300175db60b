"""The game of eviction: what `EvictEnv` plays once and `EvictVectorEnv` many times, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ...policies.learned.facts import MISSING
from ...traces.errors import UnknownNameError, UsageError
from ...traces.units import Size
from ..engine import caches as engine
from ..engine.caches import Caches, Goal
from ..engine.library import make_library
from .episodes import Episodes, Traces
from .horizon import mean_stay
from .spaces import evict_space, hide, kept_features

__all__ = ["Game", "Observation"]

Observation = dict[str, Any]  # of arrays

_KINDS = {"bounded": engine.BOUNDED, "paper": engine.PAPER, "hits": engine.HITS}


class Game:
    """Caches side by side, with all that the two environments share. Parameters as of `EvictEnv`.

    Attributes
    ----------
    episodes : Episodes
    observation_space : spaces.Dict
        Of one cache.
    action_space : spaces.Discrete
        Of one cache.
    """

    def __init__(
        self,
        n: int,
        *,
        trace: Traces,
        capacity: str | Size | Sequence[str | Size],
        k: int = 64,
        tail: int | None = None,
        ttl: str | float | None = None,
        reward: str = "bounded",
        horizon: int | None = None,
        most: float = 20.0,
        features: str | Iterable[str] = "all",
        order: str = "drawn",
        start: str = "beginning",
        length: int | None = None,
    ) -> None:
        if n < 1:
            raise UsageError(f"{n} environments play nothing; give at least 1")
        if reward not in _KINDS:
            raise UnknownNameError("reward", reward, _KINDS)
        self.observation_space = evict_space(k)
        self.action_space = spaces.Discrete(k)
        tail = (k + 1) // 2 if tail is None else tail
        if not 0 <= tail <= k:
            raise UsageError(
                f"tail={tail} of k={k} candidates: give 0 (all drawn at random) to {k} (the paper's K-tail)"
            )
        if horizon is not None and horizon < 1:
            raise UsageError(f"a horizon of {horizon} requests sees no hit; give at least 1, or None to measure it")
        if not most > 0:
            raise UsageError(f"most={most}: the bound of a penalty must be above 0")
        self._kept = kept_features(features)
        self.episodes = episodes = Episodes(trace, capacity, order=order, start=start, length=length)
        library = make_library(episodes.traces, byte_sizes=episodes.byte_sizes, ttl=ttl)
        self._horizons = {
            (i, size.amount): horizon or (round(mean_stay(one, size, ttl=ttl)) if reward == "bounded" else 1)
            for i, one in enumerate(episodes.traces)
            for size in episodes.capacities[i]
        }
        self._caches = Caches(library, n, k=k, tail=tail, goal=Goal(_KINDS[reward], 1, float(most)))
        self._columns = np.arange(k)
        self._first = np.zeros(n, np.int64)  # requests before the first decision
        self._invalid = np.zeros(n, np.int64)

    def begin(self, i: int, number: int, rng: np.random.Generator, options: Mapping[str, Any] | None = None) -> None:
        """Let cache `i` begin its episode `number`, up to its first decision."""
        episode = self.episodes.draw(rng, number, options)
        trace, amount = episode.trace, episode.capacity.amount
        horizon = self._horizons[trace, amount]
        self._caches.begin(i, trace, amount, episode.start, seed=episode.seed, horizon=horizon)
        self._first[i] = self._caches.numbers[i, engine._REQUESTS]
        self._invalid[i] = 0

    def play(self, actions: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Evict, and go on to the next decisions; return rewards, terminated and truncated, each of length n."""
        caches = self._caches
        chosen = np.ascontiguousarray(actions, np.int64)
        self._invalid += (chosen >= caches.candidates) & ~caches.done
        caches.step(chosen)
        played = caches.numbers[:, engine._REQUESTS] - self._first
        return caches.rewards.copy(), caches.done.copy(), (played >= self.episodes.length) & ~caches.done

    def observe(self) -> Observation:
        """Return what is to be seen now, as new arrays with n as their first axis."""
        caches = self._caches
        rows, context = caches.rows.copy(), caches.context.copy()
        if caches.done.any():  # nobody is left to choose from, and the rows are those of the last decision
            rows[caches.done] = MISSING
            context[caches.done] = 0.0
        hide(rows, self._kept)
        return {"candidates": rows, "context": context, "mask": self.present().view(np.int8)}

    def horizon_of(self, i: int) -> int:
        """Requests that the reward of cache `i` looks ahead in this episode."""
        return int(self._caches.numbers[i, engine._HORIZON])

    def present(self) -> npt.NDArray[np.bool_]:
        """Which rows are somebody, bool[n, k]."""
        return self._columns < self._caches.candidates[:, None]

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which actions make sense, bool[n, k]: rows that are somebody. The first always does, so that there is one."""
        mask = self.present()
        mask[:, 0] = True
        return mask

    def totals(self) -> dict[str, npt.NDArray[Any]]:
        """Return how each episode stands, as new arrays of length n."""
        numbers = self._caches.numbers
        requests = numbers[:, engine._REQUESTS]
        return {
            "hit_ratio": numbers[:, engine._HITS] / np.maximum(requests, 1),
            "byte_hit_ratio": numbers[:, engine._HIT_BYTES] / np.maximum(numbers[:, engine._BYTES], 1),
            "evictions": numbers[:, engine._EVICTIONS].copy(),
            "requests": requests.copy(),
            "invalid": self._invalid.copy(),
            "trace": numbers[:, engine._TRACE].copy(),
            "capacity": numbers[:, engine._CAPACITY].copy(),
        }

    def totals_of(self, i: int) -> dict[str, Any]:
        """Return how the episode of cache `i` stands, as plain numbers."""
        return {name: values[i].item() for name, values in self.totals().items()}
