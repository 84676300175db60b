"""Training: a warm start by hindsight, then the DQN; the network that did best on the judging replays is kept.

The folder of a training holds the best model so far, the last state of the network and of the learner, and a history; a second
call with the same parameters goes on from there.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...traces.errors import UsageError
from .arena import Arena
from .dqn import EvictionDQN, EvictionPolicy
from .folder import LEARNER, Folder
from .hindsight import Decisions, by_network, by_rule, collect, fit, play, side_by_side
from .networks import Net, SetNet, make_net
from .plan import Ground, Training, lay_out
from .save import save_model

if TYPE_CHECKING:
    from stable_baselines3.common.logger import Logger

    from ...traces.request import RequestTrace

__all__ = ["Report", "train"]

MOST_PENALTY = 20.0
"""A reward is never below minus this."""

Report = Callable[[str, int, int], None]
"""Told the stage, what has been done of it since the last call, and what it takes in all."""


def train(
    traces: Sequence[RequestTrace],
    folder: str | Path,
    training: Training,
    *,
    provenance: dict[str, Any] | None = None,
    report: Report | None = None,
    resume: bool = True,
) -> dict[str, Any]:
    """Train a network and write the model.

    Parameters
    ----------
    traces : sequence of RequestTrace
    folder : path
    training : Training
    provenance : dict, optional
        What else the metadata is to say: command, commit, versions.
    report : callable, optional
    resume : bool
        Go on with an unfinished training in the folder; False begins anew.

    Returns
    -------
    dict
        The history, as in ``training.json``: ``judged`` with one entry per judgement (stage, decisions, hit ratios), and
        the ``best`` of them.

    Raises
    ------
    UsageError
        The folder holds a training with other parameters, or one of something else.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks are small: threads only wait for each other
    try:
        run = _Run(traces, Path(folder), training, provenance or {}, report or (lambda stage, done, total: None))
        if not (resume and run.load()):
            run.begin()
        run.warm_start()
        run.learn()
    finally:
        torch.set_num_threads(threads)
    return run.history


class _Run:
    """One training under way."""

    def __init__(
        self,
        traces: Sequence[RequestTrace],
        folder: Path,
        training: Training,
        provenance: dict[str, Any],
        report: Report,
    ) -> None:
        self.training, self.folder, self.report, self.provenance = training, folder, report, provenance
        self.ground: Ground = lay_out(training, traces)
        self.names = [trace.name for trace in traces]
        self.identity = {
            "traces": self.names,
            "sources": [f"{len(trace)} requests, sha256 {trace.provenance.sha256[:16]}" for trace in traces],
            "training": json.loads(json.dumps(dataclasses.asdict(training))),
        }
        self.kept = Folder(folder, self.identity)
        self.net: Net = make_net(training.network, training.k, training.shown, training.hidden)
        self.history: dict[str, Any] = {}
        self.sample: Decisions | None = None
        torch.manual_seed(training.seed)
        self._logger: Logger | None = None

    # What is kept.

    def begin(self) -> None:
        """Begin anew in an empty folder, or in one of an earlier training."""
        self.kept.clear()
        torch.manual_seed(self.training.seed)
        self.net = make_net(self.training.network, self.training.k, self.training.shown, self.training.hidden)
        self.history = {**self.identity, "rounds": 0, "decisions": 0, "judged": [], "best": None, "finished": False}
        self._write()

    def load(self) -> bool:
        """Take up a training in the folder; False where there is none."""
        found = self.kept.take_up()
        if found is None:
            return False
        self.history = found["history"]
        self.net.load_state_dict(found["net"])
        self.sample = None if found["seen"] is None else Decisions(**found["seen"])
        return True

    def _write(self) -> None:
        unfinished = 0 < self.history["rounds"] < self.training.rounds  # the next round adds to what was seen
        seen = vars(self.sample) if unfinished and self.sample is not None else None
        self.kept.keep(self.history, self.net.state_dict(), seen)

    @property
    def logger(self) -> Logger:
        """TensorBoard's, in the folder."""
        if self._logger is None:
            from stable_baselines3.common.logger import configure

            self._logger = configure(str(self.folder / "tensorboard"), ["tensorboard"])
        return self._logger

    # The stages.

    def warm_start(self) -> None:
        """Fit the network to hindsight, round after round."""
        training, ground, total = self.training, self.ground, self.training.rounds
        if not training.warm_start or self.history["rounds"] >= total:
            return
        assert isinstance(self.net, SetNet)
        seen = self.sample
        for number in range(self.history["rounds"], total):
            requests = sum(game.stop - game.start for game in ground.games)
            found = collect(
                ground.library,
                ground.games,
                by_network(self.net) if number else by_rule,
                k=training.k,
                tail=training.tail,
                most=training.warm_start,
                seed=training.seed * 1000 + number,
                progress=lambda n, number=number, requests=requests: self.report(  # type: ignore[misc]
                    f"replaying, round {number + 1} of {total}", n, requests
                ),
            )
            if len(found) < training.batch:
                raise UsageError(
                    f"{', '.join(self.names)}: only {len(found)} evictions to learn from at {', '.join(training.sizes)}; "
                    "give smaller sizes or longer logs"
                )
            seen = found if seen is None else seen + found
            if not number:
                self.net.standardise(seen.candidates, seen.context)
            loss = fit(
                self.net,
                seen,
                steps=training.fit_steps,
                batch=training.batch,
                seed=training.seed * 1000 + number,
                progress=lambda n, number=number: self.report(  # type: ignore[misc]
                    f"fitting, round {number + 1} of {total}", n, training.fit_steps
                ),
            )
            self.sample = seen
            self.history["rounds"] = number + 1
            self.logger.record("warm_start/loss", loss)
            self._judge("warm start", number + 1)

    def learn(self) -> None:
        """Let the DQN learn, judging it now and then."""
        training, history = self.training, self.history
        if training.decisions and history["decisions"] < training.decisions:
            self._learn()
        history["finished"] = True
        self._write()

    def _learn(self) -> None:
        training, history = self.training, self.history
        learner = self._learner()
        if not training.warm_start and not history["decisions"]:
            first = self._some_decisions()
            self.net.standardise(first.candidates, first.context)
        learner.start_from(self.net)
        learner.set_logger(self.logger)
        while history["decisions"] < training.decisions:
            chunk = min(training.judge_every, training.decisions - history["decisions"])
            learner.learn(chunk, reset_num_timesteps=False, callback=_told(self.report, training.decisions))
            history["decisions"] += chunk
            self.net.load_state_dict(learner.net.state_dict())
            self.net.eval()
            learner.save(self.folder / LEARNER, exclude=["replay_buffer"])
            self._judge("DQN", history["decisions"])

    def _learner(self) -> EvictionDQN:
        training, ground = self.training, self.ground
        arena = Arena(
            ground.library,
            ground.games,
            min(training.envs, side_by_side(ground.library)),
            k=training.k,
            tail=training.tail,
            reward=training.reward,
            most=MOST_PENALTY,
            hindsight=training.hindsight,
            seed=training.seed + self.history["decisions"],
        )
        saved = self.folder / LEARNER
        if self.history["decisions"] and saved.is_file():
            found: EvictionDQN = EvictionDQN.load(saved, env=arena, device="cpu")
            found.learning_starts += found.num_timesteps  # the replay buffer was not kept: it fills first
            return found
        return EvictionDQN(
            EvictionPolicy,
            arena,
            hindsight=training.hindsight,
            most=MOST_PENALTY,
            whole=training.decisions,
            learning_rate=lambda left: training.learning_rate * left,
            buffer_size=training.buffer,
            learning_starts=max(training.batch, min(training.decisions // 20, 2_000)),
            batch_size=training.batch,
            gamma=training.gamma,
            tau=0.005,
            target_update_interval=training.envs,
            train_freq=1,
            gradient_steps=2,
            exploration_fraction=0.3,
            exploration_initial_eps=min(1.0, 10 * training.epsilon),
            exploration_final_eps=training.epsilon,
            max_grad_norm=1.0,
            policy_kwargs={"network": training.network, "features": training.shown, "hidden": training.hidden},
            seed=training.seed,
            device="cpu",
        )

    # What is measured and kept.

    def _some_decisions(self) -> Decisions:
        if self.sample is None:
            training, ground = self.training, self.ground
            self.sample = collect(
                ground.library, ground.games, by_rule, k=training.k, tail=training.tail, most=2_000, seed=training.seed
            )
        return self.sample

    def _judge(self, stage: str, number: int) -> None:
        training, ground, history = self.training, self.ground, self.history
        self.report("judging", 0, 1)
        ratios = play(
            ground.judge_library,
            ground.judge_games,
            by_network(self.net),
            k=training.k,
            tail=training.tail,
            seed=training.seed,
        )
        self.report("judging", 1, 1)
        n = len(training.sizes)
        by_size = {size: round(float(ratios[i::n].mean()), 5) for i, size in enumerate(training.sizes)}
        entry = {"stage": stage, "number": number, "hit_ratio": round(float(np.mean(ratios)), 5), "by_size": by_size}
        history["judged"].append(entry)
        for size, ratio in by_size.items():
            self.logger.record(f"judged/hit_ratio_{size}", ratio)
        self.logger.record("judged/hit_ratio", entry["hit_ratio"])
        self.logger.dump(history["decisions"] + (number if stage == "warm start" else 0))
        best = history["best"]
        if best is None or entry["hit_ratio"] > best["hit_ratio"]:
            history["best"] = entry
            some = self._some_decisions()
            save_model(
                self.folder,
                self.net,
                some.candidates,
                some.context,
                tail=training.tail,
                trained={
                    **self.provenance,
                    **self.identity,
                    "learnt_requests": sum(len(trace) for trace in ground.traces),
                    "held_back": ground.held_back,
                    "judged": entry,
                    "date": time.strftime("%Y-%m-%d", time.gmtime()),
                },
            )
        self._write()


def _told(report: Report, total: int) -> Any:
    from stable_baselines3.common.callbacks import BaseCallback

    class Told(BaseCallback):
        """Reports how many decisions were made."""

        def _on_step(self) -> bool:
            report("DQN", self.training_env.num_envs, total)
            return True

    return Told()
