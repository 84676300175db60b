"""What to train on and how: the parameters of a training, and the replays it learns from and is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...policies.learned.candidates import MOST_CANDIDATES
from ...policies.learned.facts import FEATURES
from ...sim.plan import capacity_of
from ...traces.errors import UnknownNameError, UsageError
from ..engine.caches import REWARDS
from ..engine.library import Library, make_library
from ..envs.horizon import mean_stay
from .hindsight import Game
from .networks import PAPER_FEATURES

if TYPE_CHECKING:
    from ...traces.request import RequestTrace

__all__ = ["Ground", "Training", "lay_out"]

TRAIN, JUDGE = 0.70, 0.85
"""Of a single log: what is learnt from, and where the part that judges ends; the rest is left for `evictlab rl evaluate`."""

STAYS = 4
"""The horizon is this many times the mean stay of a resident under LRU, as long as that is a small part of the log."""


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes
    ----------
    sizes : tuple of str
        Capacities, all in bytes or all in objects.
    k, tail : int
        Candidates of a decision, and how many of them stand at the tail.
    network : str
        ``set`` or ``flat``.
    reward : str
        See `evictlab.rl.engine.caches.REWARDS`.
    features : str
        ``all``, ``paper`` (its six), or names with commas.
    hidden : int or None
        Width of the network; None for the default of its kind.
    ttl : str or None
        As for `evictlab.sim.replay`.
    horizon : int or None
        Requests; None for `STAYS` mean stays under LRU.
    warm_start : int
        Decisions to fit the network to before it acts; 0 for none. Needs the set network.
    rounds : int
        Times that they are collected, each time from the caches that the network then makes.
    fit_steps : int
        Gradient steps in each round.
    decisions : int
        Decisions of the DQN; 0 to leave it at the warm start.
    hindsight : bool
        Let the DQN learn from all candidates. False is the textbook's form.
    gamma : float
    learning_rate : float
        Of the DQN, at its beginning; it falls to zero.
    batch, envs, buffer : int
        Decisions per gradient step, caches side by side, and decisions that the replay buffer holds.
    epsilon : float
        Share of random victims at the end of the exploration; it begins at ten times that, at most 1.
    judge_every : int
        Decisions of the DQN from one judgement to the next.
    seed : int
    """

    sizes: tuple[str, ...]
    k: int = MOST_CANDIDATES
    tail: int = 8
    network: str = "set"
    reward: str = "bounded"
    features: str = "all"
    hidden: int | None = None
    ttl: str | None = None
    horizon: int | None = None
    warm_start: int = 20_000
    rounds: int = 2
    fit_steps: int = 4_000
    decisions: int = 100_000
    hindsight: bool = True
    gamma: float = 0.9
    learning_rate: float = 2e-4
    batch: int = 64
    envs: int = 16
    buffer: int = 50_000
    epsilon: float = 0.02
    judge_every: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.sizes:
            raise UsageError("there is no capacity to train for: give --size 25MB")
        if not 2 <= self.k <= MOST_CANDIDATES or not 0 <= self.tail <= self.k:
            raise UsageError(f"k={self.k}, tail={self.tail}: give 2 <= k <= {MOST_CANDIDATES} and 0 <= tail <= k")
        for what, given, known in (("network", self.network, ("set", "flat")), ("reward", self.reward, REWARDS)):
            if given not in known:
                raise UnknownNameError(what, given, known)
        unknown = [name for name in self.shown if name not in FEATURES]
        if unknown:
            raise UnknownNameError("feature", unknown[0], FEATURES)
        if self.warm_start and self.network != "set":
            raise UsageError("only the set network has rates to be fitted; give --warm-start 0 with --network flat")
        if self.hindsight and self.reward != "bounded":
            raise UsageError(f"the reward {self.reward} belongs to the victim alone; give --no-hindsight with it")
        if not self.warm_start and not self.decisions:
            raise UsageError("nothing to do: --warm-start 0 and --decisions 0")

    @property
    def shown(self) -> tuple[str, ...]:
        """The features that the network may read."""
        if self.features in ("all", "paper"):
            return tuple(FEATURES) if self.features == "all" else PAPER_FEATURES
        return tuple(name.strip() for name in self.features.split(",") if name.strip())


@dataclass(frozen=True)
class Ground:
    """Replays to learn from and to be judged by.

    Attributes
    ----------
    traces : tuple of RequestTrace
        What is learnt from.
    library : Library
        The same.
    games : tuple of Game
        Every trace at every capacity.
    judge_library : Library
    judge_games : tuple of Game
    held_back : float
        Share at the end of a single log that is neither learnt from nor judged by; 0 where whole logs judge.
    """

    traces: tuple[RequestTrace, ...]
    library: Library
    games: tuple[Game, ...]
    judge_library: Library
    judge_games: tuple[Game, ...]
    held_back: float


def lay_out(training: Training, traces: Sequence[RequestTrace]) -> Ground:
    """Split logs: of several, every fourth (at least the last) judges; a single one is split by time.

    Raises
    ------
    UsageError
        Also `UnitError`: a capacity does not fit the logs, or a log is too short.
    """
    if len(traces) > 1:
        judges = [trace for i, trace in enumerate(traces) if i % 4 == 3 or (len(traces) < 4 and i == len(traces) - 1)]
        learn = [trace for trace in traces if not any(trace is judge for judge in judges)]
        starts, held_back = [0] * len(judges), 0.0
    else:
        whole = traces[0]
        cut, end = int(TRAIN * len(whole)), int(JUDGE * len(whole))
        if cut < 1000:
            raise UsageError(f"{whole.name} has {len(whole)} requests: too few to learn anything from")
        learn, judges, starts, held_back = [whole[:cut]], [whole[:end]], [cut], 1 - JUDGE
    # A percentage is of the footprint of the log that was given, not of the part that is learnt from.
    of = {id(trace): trace for trace in traces}
    kinds = {capacity_of(size, trace).byte_sizes for size in training.sizes for trace in traces}
    if len(kinds) > 1:
        raise UsageError(f"sizes {', '.join(training.sizes)}: give all in bytes, or all in objects")
    byte_sizes = kinds.pop()

    def games(some: Sequence[RequestTrace], count_from: Sequence[int]) -> tuple[Game, ...]:
        made = []
        for i, trace in enumerate(some):
            for size in training.sizes:
                capacity = capacity_of(size, of.get(id(trace), traces[0]))
                horizon = training.horizon
                if horizon is None:
                    stay = mean_stay(trace, capacity, ttl=training.ttl)
                    horizon = max(1, min(round(STAYS * stay), len(trace) // 8))
                made.append(Game(i, capacity.amount, 0, len(trace), horizon, count_from[i]))
        return tuple(made)

    return Ground(
        tuple(learn),
        make_library(learn, byte_sizes=byte_sizes, ttl=training.ttl),
        games(learn, [0] * len(learn)),
        make_library(judges, byte_sizes=byte_sizes, ttl=training.ttl),
        games(judges, starts),
        held_back,
    )
