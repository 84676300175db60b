"""Hindsight: a replay knows what each candidate would have been worth; a set network is fitted to that before it acts.

Collected at every few decisions: for each candidate, the hits that it would have had within the horizon if it had stayed,
and for how long it would have been fresh. The network's rates are fitted as those of Poisson counts. First a rule without
learning evicts, then the network itself, so that it learns from the caches that it makes (DAgger).

Source: Ross, Gordon, Bagnell, "A reduction of imitation learning and structured prediction to no-regret online learning",
AISTATS 2011. That the goal is a rate within a bounded time follows Song et al., "Learning relaxed Belady for content
distribution network caching", NSDI 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ...policies.learned.facts import FEATURES, MISSING
from ...policies.learned.network import make_network
from ..engine.caches import BOUNDED, Caches, Goal
from .networks import Net, SetNet

if TYPE_CHECKING:
    from ..engine.library import Library

__all__ = ["Decisions", "Game", "by_network", "by_rule", "collect", "fit", "hide_some", "play", "side_by_side"]

Chooser = Callable[[Caches], npt.NDArray[np.int64]]
"""Which candidate each cache evicts; int64[B]."""

_SIZE, _STEADY, _TTL_LEFT, _ORIGIN = (
    list(FEATURES).index(name) for name in ("size_bytes", "steady", "ttl_left_s", "origin_s")
)


MOST_BYTES = 1 << 30
"""Of memory for caches that are replayed side by side; each takes about 160 bytes per object of the largest trace."""


@dataclass(frozen=True)
class Game:
    """One replay to learn from, or to be judged by.

    Attributes
    ----------
    trace : int
        Number in the library.
    capacity : int
    start, stop : int
        Requests.
    horizon : int
        Requests.
    count_from : int
        The first request whose hit counts, when a game is to judge.
    """

    trace: int
    capacity: int
    start: int
    stop: int
    horizon: int
    count_from: int = 0


@dataclass
class Decisions:
    """Decisions with what came of it.

    Attributes
    ----------
    candidates : float32[n, k, N_FEATURES]
    context : float32[n, N_CONTEXT]
    hits, exposure : float32[n, k]
        See `evictlab.rl.engine.caches.Caches`.
    """

    candidates: torch.Tensor
    context: torch.Tensor
    hits: torch.Tensor
    exposure: torch.Tensor

    def __len__(self) -> int:
        return len(self.candidates)

    def __add__(self, other: Decisions) -> Decisions:
        return Decisions(*(torch.cat([a, b]) for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def side_by_side(library: Library) -> int:
    """Return how many caches over a library fit into `MOST_BYTES`; at least one."""
    return max(1, MOST_BYTES // (160 * library.n_objects))


def by_rule(caches: Caches) -> npt.NDArray[np.int64]:
    """Evict what has expired, else the most bytes per request of late."""
    rows = caches.rows
    with np.errstate(divide="ignore", invalid="ignore"):
        score = rows[:, :, _SIZE] / np.maximum(rows[:, :, _STEADY], 1e-9)
    score[rows[:, :, _TTL_LEFT] == 0] = np.inf
    score[rows[:, :, _SIZE] < 0] = -np.inf
    return np.asarray(score.argmax(1), np.int64)


def by_network(net: Net) -> Chooser:
    """Evict what the network values most."""
    network = make_network(net.kind, net.weights(), net.k)

    def choose(caches: Caches) -> npt.NDArray[np.int64]:
        return caches.best(network)

    return choose


def play(
    library: Library, games: Sequence[Game], choose: Chooser, *, k: int, tail: int, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Replay games side by side; return the hit ratio of each from its ``count_from`` on, float64[n]."""
    if len(games) > (most := side_by_side(library)):
        groups = [games[first : first + most] for first in range(0, len(games), most)]
        return np.concatenate([play(library, group, choose, k=k, tail=tail, seed=seed) for group in groups])
    caches = Caches(library, len(games), k=k, tail=tail, goal=Goal(BOUNDED, 1, 1.0), seed=seed)
    earlier = np.zeros((len(games), 2))
    counting = np.array([game.count_from <= game.start for game in games])
    for i, game in enumerate(games):
        caches.begin(i, game.trace, game.capacity, game.start, game.stop if counting[i] else game.count_from)
    while True:
        for i in np.flatnonzero(caches.done & ~counting).tolist():
            earlier[i], counting[i] = caches.numbers[i, 5:7], True
            caches.extend(i, games[i].stop)
        if caches.done.all():
            break
        caches.step(choose(caches))
    counted = caches.numbers[:, 5:7] - earlier
    return np.asarray(counted[:, 0] / np.maximum(counted[:, 1], 1))


def collect(
    library: Library,
    games: Sequence[Game],
    choose: Chooser,
    *,
    k: int,
    tail: int,
    most: int,
    stray: float = 0.02,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Decisions:
    """Replay games side by side and write down about `most` of the decisions.

    Parameters
    ----------
    library : Library
    games : sequence of Game
    choose : callable
    k, tail : int
    most : int
    stray : float
        Share of the victims that are drawn at random, for variety.
    seed : int
    progress : callable, optional
        Told how many more requests were replayed.
    """
    if len(games) > (at_once := side_by_side(library)):
        first, others = games[:at_once], games[at_once:]
        share_of = most * len(first) // len(games)
        told_of: dict[str, Any] = {"k": k, "tail": tail, "stray": stray, "progress": progress}
        return collect(library, first, choose, most=share_of, seed=seed, **told_of) + collect(
            library, others, choose, most=most - share_of, seed=seed + 1, **told_of
        )
    n = len(games)
    caches = Caches(library, n, k=k, tail=tail, goal=Goal(BOUNDED, 1, 1.0), hindsight=True, seed=seed)
    rng = np.random.default_rng(seed)
    for i, game in enumerate(games):
        caches.begin(i, game.trace, game.capacity, game.start, game.stop, horizon=game.horizon)
    # The future must lie within what may be looked at, and there are at most as many decisions as requests.
    usable = np.array([game.stop - game.horizon for game in games])
    share = min(1.0, 2 * most / max(1, sum(game.stop - game.start for game in games)))
    parts: list[list[npt.NDArray[np.float32]]] = [[], [], [], []]
    told = 0
    while not caches.done.all():
        take = ~caches.done & (caches.numbers[:, 0] < usable) & (caches.candidates > 1) & (rng.random(n) < share)
        if take.any():
            for part, array in zip(parts, (caches.rows, caches.context, caches.hits, caches.exposure), strict=True):
                part.append(array[take])
        actions = choose(caches)
        astray = rng.random(n) < stray
        actions[astray] = (rng.random(n) * np.maximum(caches.candidates, 1)).astype(np.int64)[astray]
        caches.step(actions)
        if progress is not None:
            done = int(caches.numbers[:, 6].sum())
            progress(done - told)
            told = done
    if not parts[0]:
        k_rows = np.zeros((0, *caches.rows.shape[1:]), np.float32)
        return Decisions(*map(torch.from_numpy, (k_rows, caches.context[:0], caches.hits[:0], caches.exposure[:0])))
    return Decisions(*(torch.from_numpy(np.concatenate(part)) for part in parts))


def hide_some(candidates: torch.Tensor, draw: torch.Generator | None = None) -> torch.Tensor:
    """Return decisions in which something is missing now and then, as in NGINX after a restart, or without TTLs.

    Of a twentieth of the rows only the size is left; in a tenth of the decisions no TTL is known, in a fifth no origin time.
    """
    n, k, _ = candidates.shape
    hidden = candidates.clone()
    unknown = torch.rand((n, k), generator=draw) < 0.05
    unknown &= candidates[:, :, _SIZE] >= 0
    size = hidden[:, :, _SIZE].clone()
    hidden[unknown] = MISSING
    hidden[:, :, _SIZE] = size
    for feature, share in ((_TTL_LEFT, 0.1), (_ORIGIN, 0.2)):
        hidden[torch.rand(n, generator=draw) < share, :, feature] = MISSING
    return hidden


def fit(
    net: SetNet,
    decisions: Decisions,
    *,
    steps: int,
    batch: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> float:
    """Fit a network's rates to what came of decisions; return the loss over the last tenth of the steps.

    Parameters
    ----------
    net : SetNet
    decisions : Decisions
    steps, batch : int
    learning_rate : float
        At the beginning; it falls to zero.
    seed : int
    progress : callable, optional
        Told after each step.
    """
    optimiser = torch.optim.Adam(net.parameters(), learning_rate)
    plan = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(1 - step / steps, 1e-3))
    draw = torch.Generator().manual_seed(seed)
    losses = []
    for step in range(steps):
        rows = torch.randint(len(decisions), (batch,), generator=draw)
        candidates, context = hide_some(decisions.candidates[rows], draw), decisions.context[rows]
        g, _ = net.rates(candidates, context)
        expected = torch.exp(g) * decisions.exposure[rows]
        present = net.present(candidates)
        loss = ((expected - decisions.hits[rows] * g) * present).sum() / present.sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        plan.step()
        if step >= 0.9 * steps:
            losses.append(loss.item())
        if progress is not None:
            progress(1)
    return float(np.mean(losses))
