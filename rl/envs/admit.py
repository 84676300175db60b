"""``evictlab/Admit-v0``: a cache asks whether to let a missed object in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from ...policies import contract
from ...policies.learned.facts import FEATURES, MISSING, N_CONTEXT, N_FEATURES, make_facts
from ...policies.registry import Policy, parse_policy
from ...policies.setting import Setting
from ...sim.job import check_capable
from ...sim.plan import lifetimes
from ...traces.errors import UnknownNameError
from ...traces.units import Size
from ..engine.library import make_library
from . import admission as at
from .episodes import Episode, Episodes, Traces
from .game import Observation
from .spaces import admit_space, hide, kept_features

__all__ = ["AdmitEnv"]

_REWARDS = ("hits", "bytes")


class AdmitEnv(gymnasium.Env[Observation, np.int64]):
    """A cache replays a trace and asks, at each miss, whether the object may enter; a policy decides who leaves.

    ## Description
    Each miss of an object that is not larger than the cache is a decision. Always answering 1 gives exactly what
    ``evictlab.sim.replay(trace, policy, capacity)`` gives. The policy is not told of objects that stay out. A request
    that finds an expired object is a miss that refreshes it in place, and no decision.

    ## Action Space
    ``Discrete(2)``

    | Num | Action |
    |-----|--------|
    | 0   | bypass: it is served and not stored |
    | 1   | admit: the policy makes room for it (or refuses it, if it has an opinion of its own) |

    ## Observation Space
    ``Dict`` of new arrays at each step.

    | Key      | Space                       | |
    |----------|-----------------------------|-|
    | newcomer | Box(-1, inf, (11,), float32) | the missed object |
    | victim   | Box(-1, inf, (11,), float32) | who would have to leave first; all -1: nobody, or not known |
    | context  | Box(0, inf, (4,), float32)  | the cache |

    ``newcomer`` and ``victim`` have the features of `EvictEnv`, in the same order and units; -1 is "not known". The
    newcomer is described as it would be right after it came in: it has been fetched now (``age_s``, ``idle_s`` and
    ``hits`` are 0, ``ttl_left_s`` and ``origin_s`` are those of this answer), and this request counts (``gap_s`` is the
    time since the last one before, -1 for none; ``requests``, ``recent`` and ``steady`` include it). What is known of an
    object outlives its stay, and is kept of objects that never entered. The victim is known where the policy can name
    it without being told of the newcomer (it defines ``peek`` and no ``admit``).

    | Num | context        | Unit  | Meaning |
    |-----|----------------|-------|---------|
    | 0   | pace_s         | s     | mean time between requests to the cache |
    | 1   | capacity_bytes | bytes | that fit; objects when the capacity is in objects |
    | 2   | residents      |       | objects in the cache |
    | 3   | need_bytes     | bytes | to be freed for the newcomer; 0 when it fits |

    ## Rewards
    ``reward=``

    | Name    | Reward of a step |
    |---------|------------------|
    | "hits"  | hits among the requests up to the next decision: over an episode, the hits after the first decision |
    | "bytes" | the bytes of them, divided by the mean size of a request |

    ## Starting State
    An empty cache that has replayed the trace from its start (`start`) up to the first miss.

    ## Episode End
    Terminated when the trace is over; then nobody is seen, all -1, and the context is 0. Truncated at the first decision
    that comes at least `length` requests after the first one. When every object is larger than the cache, `reset`
    already returns nobody, and the first step terminates with reward 0.

    ``info`` of `reset` and `step` tells how the episode stands: ``hit_ratio``, ``byte_hit_ratio``, ``evictions``,
    ``requests``, ``bypassed`` (misses that would have fitted and did not enter), ``trace``, ``capacity``, and ``seed`` (of
    a policy that draws; `replay` with the same gives the same).

    ## Arguments

    Parameters
    ----------
    trace : RequestTrace, str, Path, or a list of these
    capacity : str, Size, or a list of these
    policy : str or Policy
        Who decides whom to evict, as for `evictlab.sim.replay`.
    ttl : str or float, optional
    reward : {"hits", "bytes"}
    features : str or iterable of str
    order : {"drawn", "in turn"}
    start : {"beginning", "random"}
    length : int, optional
    render_mode : {"ansi"}, optional
        All others as for `EvictEnv`.

    Raises
    ------
    UsageError
        An argument that makes no sense; also its kinds `UnitError`, `UnknownNameError` and `CapabilityError`.

    ## References
    Einziger, Friedman, Manes, "TinyLFU: a highly efficient cache admission policy", ACM ToS 13(4), 2017 (the newcomer is
    compared with the victim).
    Kirilin et al., "RL-Cache: learning-based cache admission for content delivery", IEEE JSAC 38(10), 2020.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc]

    def __init__(
        self,
        trace: Traces,
        capacity: str | Size | Sequence[str | Size],
        policy: str | Policy = "lru",
        ttl: str | float | None = None,
        reward: str = "hits",
        features: str | Iterable[str] = "all",
        order: str = "drawn",
        start: str = "beginning",
        length: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        if reward not in _REWARDS:
            raise UnknownNameError("reward", reward, _REWARDS)
        self.observation_space = admit_space()
        self.action_space = spaces.Discrete(2)
        self.render_mode = render_mode
        self._by_bytes = reward == "bytes"
        self._kept = kept_features(features)
        self._policy = parse_policy(policy)
        self._episodes = Episodes(trace, capacity, order=order, start=start, length=length)
        self._ttls = [lifetimes(ttl, one) for one in self._episodes.traces]
        for one, ttls in zip(self._episodes.traces, self._ttls, strict=True):
            check_capable(self._policy, one, byte_sizes=self._episodes.byte_sizes, ttl=ttls is not None)
        self._library = make_library(self._episodes.traces, byte_sizes=self._episodes.byte_sizes, ttl=ttl)
        self._number = 0
        self._numbers = np.zeros(at.NUMBERS, np.int64)
        self._newcomer, self._victim = np.zeros(N_FEATURES, np.float32), np.zeros(N_FEATURES, np.float32)
        self._context = np.zeros(N_CONTEXT, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; the same seed gives the same episodes. Options as of `EvictEnv`."""
        super().reset(seed=seed)
        if seed is not None:
            self._number = 0
        self._episode = self._episodes.draw(self.np_random, self._number, options)
        self._number += 1
        self._begin(self._episode)
        self._play(0)
        self._first = int(self._numbers[at.POSITION])
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Admit or bypass, and go on to the next miss."""
        what = at.HIT_BYTES if self._by_bytes else at.HITS
        before = int(self._numbers[what])
        self._play(int(action))
        terminated = not bool(self._numbers[at.WAITING])
        truncated = not terminated and int(self._numbers[at.POSITION]) - self._first >= self._episodes.length
        reward = (int(self._numbers[what]) - before) / self._unit
        return self._observation(), reward, terminated, truncated, self._info()

    def render(self) -> str | None:
        """Return the decision that waits as a small table (``ansi``)."""
        if self.render_mode is None:
            return None
        info, name = self._info(), self._episodes.traces[self._episode.trace].name
        lines = [
            f"{name}: {info['requests']:,} requests, {info['bypassed']:,} bypassed, hit ratio {info['hit_ratio']:.4f}"
        ]
        if not self._numbers[at.WAITING]:
            return "\n".join([*lines, "no decision: the trace is over"])
        seen = self._observation()
        lines += [f"{'':>14}{'newcomer':>14}{'victim':>14}"]
        rows = zip(FEATURES, seen["newcomer"], seen["victim"], strict=True)
        lines += [f"{feature:>14}{new:>14.6g}{old:>14.6g}" for feature, new, old in rows]
        return "\n".join(lines)

    def _begin(self, episode: Episode) -> None:
        """Make an empty cache, as `evictlab.sim.job.Job` does."""
        library, trace, amount = self._library, self._episodes.traces[episode.trace], episode.capacity.amount
        part = slice(*library.begins[episode.trace : episode.trace + 2])
        self._ids, self._sizes = library.ids[part], library.sizes[part]
        self._stored = np.zeros(trace.n_objects, np.int64) if self._episodes.byte_sizes else None
        setting = Setting(
            n_objects=trace.n_objects,
            capacity=amount,
            stored=self._stored,
            seed=episode.seed,
            costs=trace.costs,
            times=trace.times,
            ttls=self._ttls[episode.trace],
            request_sizes=trace.sizes if self._episodes.byte_sizes else None,
            future=lambda: trace.next_use,
            trace=trace,
        )
        self._state = self._policy.make(setting)
        # Facts that are compiled need all columns; where the trace lacks one, the library says so in each row.
        times, ttls, costs = library.times[part], library.ttls[part], library.costs[part]
        self._facts = make_facts(Setting(trace.n_objects, amount, costs=costs, times=times, ttls=ttls))
        table = contract.kernels_of(self._state)
        self._peeks = True if table.peek is not None and table.admit is contract._admit_all else None
        self._run = at.player_for(self._state)
        self._unit = float(self._sizes.mean()) if self._by_bytes else 1.0
        self._numbers[:] = 0
        self._numbers[at.POSITION], self._numbers[at.FREE] = episode.start, episode.capacity.amount

    def _play(self, action: int) -> None:
        self._run(
            self._ids, self._sizes, self._stored, self._facts, self._state, self._peeks, action,
            self._episode.capacity.amount, self._numbers, self._newcomer, self._victim, self._context,
        )  # fmt: skip

    def _observation(self) -> Observation:
        if not self._numbers[at.WAITING]:
            newcomer, victim = (np.full(N_FEATURES, MISSING, np.float32) for _ in range(2))
            return {"newcomer": newcomer, "victim": victim, "context": np.zeros(N_CONTEXT, np.float32)}
        newcomer, victim = self._newcomer.copy(), self._victim.copy()
        hide(newcomer, self._kept)
        hide(victim, self._kept)
        return {"newcomer": newcomer, "victim": victim, "context": self._context.copy()}

    def _info(self) -> dict[str, Any]:
        numbers = self._numbers.tolist()
        requests = numbers[at.POSITION] - self._episode.start
        return {
            "hit_ratio": numbers[at.HITS] / max(requests, 1),
            "byte_hit_ratio": numbers[at.HIT_BYTES] / max(numbers[at.BYTES], 1),
            "evictions": numbers[at.EVICTIONS],
            "requests": requests,
            "bypassed": numbers[at.BYPASSED],
            "trace": self._episode.trace,
            "capacity": self._episode.capacity.amount,
            "seed": self._episode.seed,
        }
