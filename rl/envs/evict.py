"""``evictlab/Evict-v0``: a cache asks whom to evict, among some candidates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt

from ...policies.learned.facts import FEATURES
from ...traces.units import Size, format_bytes, format_duration
from .episodes import Traces
from .game import Game, Observation

__all__ = ["EvictEnv"]

_SHOWN = 12


class EvictEnv(gymnasium.Env[Observation, np.int64]):
    """A cache replays a trace and asks for a victim whenever a missed object does not fit.

    ## Description
    When a missed object does not fit, `k` candidates stand for election: some residents from the tail of the order of last
    use, the newcomer itself, and others drawn at random. One is evicted per step, until the newcomer fits or is the one
    that does not stay; then requests are replayed up to the next decision. Always taking action 0 is LRU, and gives the hits
    of ``evictlab.sim.replay(trace, "lru", capacity)`` exactly, if ``tail`` is at least 1.

    ## Action Space
    ``Discrete(k)``

    | Num | Action |
    |-----|--------|
    | i   | evict candidate i. From 0: those not asked for longest, the oldest first; the newcomer; those drawn |

    A row that is nobody (mask 0) stands for row 0, and is counted in ``info["invalid"]``. ``action_masks()`` says which
    actions make sense, bool[k], for learners that can mask.

    ## Observation Space
    ``Dict`` of new arrays at each step.

    | Key        | Space                        | |
    |------------|------------------------------|-|
    | candidates | Box(-1, inf, (k, 11), float32) | a row per candidate; all -1 where there is none; -1 is also "not known" |
    | context    | Box(0, inf, (4,), float32)   | the cache |
    | mask       | MultiBinary(k)               | 1 where a row is somebody |

    A row of ``candidates``:

    | Num | Feature    | Unit  | Meaning |
    |-----|------------|-------|---------|
    | 0   | age_s      | s     | since it was last fetched from the origin |
    | 1   | size_bytes | bytes | what it is charged; 1 when the capacity is in objects |
    | 2   | hits       |       | since it came in |
    | 3   | gap_s      | s     | between its last two requests; -1: only one so far |
    | 4   | ttl_left_s | s     | until it is no longer fresh; 0: expired; -1: does not expire |
    | 5   | origin_s   | s     | that its last fetch took at the origin; -1: the trace does not say |
    | 6   | idle_s     | s     | since its last request |
    | 7   | requests   |       | since it is known; leaving the cache does not reset this |
    | 8   | known_s    | s     | since its first request |
    | 9   | recent     |       | requests, each halved for every 256 requests (to any object) since |
    | 10  | steady     |       | the same with 4096 requests |

    ``context``:

    | Num | Name           | Unit  | Meaning |
    |-----|----------------|-------|---------|
    | 0   | pace_s         | s     | mean time between requests to the cache |
    | 1   | capacity_bytes | bytes | that fit; objects when the capacity is in objects |
    | 2   | residents      |       | objects in the cache |
    | 3   | need_bytes     | bytes | always 0: one victim is asked for |

    A trace without times has one request per second. Numbers are raw and span many powers of ten: normalise them, for
    example with Stable-Baselines3's ``VecNormalize(norm_obs_keys=["candidates", "context"])``, or in the network.

    ## Rewards
    ``reward=``

    | Name      | Reward of a step | Range |
    |-----------|------------------|-------|
    | "bounded" | minus the hits that the victim would have got, per byte and per 1000 requests (see below) | [-most, 0] |
    | "paper"   | share of the k candidates that stay and are asked for again before they expire | [0, 1] |
    | "hits"    | hits among the requests up to the next decision, divided by their number, 0 when there is none | [0, 1] |

    "bounded" counts the requests within `horizon` that the victim would have answered before it expires, per 1000
    requests for which it would have been fresh (an eighth of the horizon at least), times the mean size of a resident,
    divided by its own.
    The first two read the future of the trace; observations never do. The first looks at this victim only: a discount
    of 0 is enough for it.

    ## Starting State
    An empty cache that has replayed the trace from its start (`start`) up to the first decision.

    ## Episode End
    Terminated when the trace is over; what is seen then is nobody: all candidates -1, mask and context 0. Truncated at
    the first decision that comes at least `length` requests after the first one, so that what is seen last is a decision
    whose value can be estimated. When a trace ends without any decision, because all of it fits, `reset` already returns
    nobody, and the first step terminates with reward 0.

    ``info`` of `reset` and `step` tells how the episode stands: ``hit_ratio``, ``byte_hit_ratio``, ``evictions``,
    ``requests``, ``invalid`` (actions so far), ``trace`` (its number) and ``capacity`` (bytes or objects).

    ## Arguments

    Parameters
    ----------
    trace : RequestTrace, str, Path, or a list of these
        What is played: a trace, a file, or the text form of a generator (``"trap:seed=1"``).
    capacity : str, Size, or a list of these
        ``"25MB"``, ``"5000obj"`` (each object is charged 1), or ``"10%"`` of a trace's footprint.
    k : int
        Candidates, 1 to 64.
    tail : int, optional
        How many of them come from the tail; default half of them. `k` is the paper's K-tail.
    ttl : str or float, optional
        As for `evictlab.sim.replay`: ``"trace"``, ``"60s"``, or seconds. By default nothing expires.
    reward : {"bounded", "paper", "hits"}
    horizon : int, optional
        Requests that ``"bounded"`` looks ahead. By default as many as a resident stays under LRU on average, measured for
        each trace and capacity (`mean_stay`).
    most : float
        Bound of ``"bounded"``.
    features : str or iterable of str
        ``"all"``, ``"paper"`` (the first six), or names. The others are -1; a size that is not to be seen is 1.
    order : {"drawn", "in turn"}
        Of traces and capacities, when there are several: drawn for each episode, or one after another.
    start : {"beginning", "random"}
        Random: any request after which `length` more follow; any of the first half when there is no `length`.
    length : int, optional
        Requests after the first decision at which an episode is truncated.
    render_mode : {"ansi"}, optional

    Raises
    ------
    UsageError
        An argument that makes no sense; also its kinds `UnitError` and `UnknownNameError`.

    ## Reset Arguments
    ``options`` may hold ``trace`` and ``capacity`` (numbers within the lists) and ``start`` (a request): these are not
    drawn then.

    ## References
    Gupta, Bhayani, "Cold-RL", arXiv:2508.12485, 2025 (K-tail, the first six features, reward "paper").
    Song et al., "Learning relaxed Belady for content distribution network caching", NSDI 2020 (random candidates, a
    bounded horizon).
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc]

    def __init__(
        self,
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
        render_mode: str | None = None,
    ) -> None:
        self._game = Game(
            1, trace=trace, capacity=capacity, k=k, tail=tail, ttl=ttl, reward=reward, horizon=horizon, most=most,
            features=features, order=order, start=start, length=length,
        )  # fmt: skip
        self.observation_space = self._game.observation_space
        self.action_space = self._game.action_space
        self.render_mode = render_mode
        self._number = 0

    @property
    def horizon(self) -> int:
        """Requests that the reward looks ahead in this episode."""
        return self._game.horizon_of(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode, see the class; the same seed gives the same episodes."""
        super().reset(seed=seed)
        if seed is not None:
            self._number = 0
        self._game.begin(0, self._number, self.np_random, options)
        self._number += 1
        return self._observation(), self._game.totals_of(0)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Evict a candidate, and go on to the next decision."""
        rewards, terminated, truncated = self._game.play(np.full(1, action, np.int64))
        return self._observation(), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), self._game.totals_of(0)

    def _observation(self) -> Observation:
        return {name: values[0] for name, values in self._game.observe().items()}

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Which actions make sense, bool[k]; the first always does, even when nobody is left."""
        mask: npt.NDArray[np.bool_] = self._game.allowed()[0]
        return mask

    def render(self) -> str | None:
        """Return the decision that waits as a small table (``ansi``)."""
        if self.render_mode is None:
            return None
        seen, stands = self._observation(), self._game.totals_of(0)
        name = self._game.episodes.traces[stands["trace"]].name
        lines = [
            f"{name}: {stands['requests']:,} requests, {stands['evictions']:,} evictions, "
            f"hit ratio {stands['hit_ratio']:.4f}, by bytes {stands['byte_hit_ratio']:.4f}"
        ]
        n = int(seen["mask"].sum())
        if n == 0:
            return "\n".join([*lines, "no decision: the trace is over"])
        lines.append("".join(f"{word:>12}" for word in ("candidate", *FEATURES)))
        for i, row in enumerate(seen["candidates"][: min(n, _SHOWN)]):
            lines.append(f"{i:>12}" + "".join(f"{_shown(*cell):>12}" for cell in zip(FEATURES, row, strict=True)))
        if n > _SHOWN:
            lines.append(f"{'...':>12}  {n - _SHOWN} more")
        return "\n".join(lines)


def _shown(name: str, value: float) -> str:
    """A feature for people."""
    if value < 0:
        return "-"
    if name.endswith("_s"):
        return format_duration(float(value))
    return format_bytes(float(value)) if name.endswith("_bytes") else f"{value:.3g}"
