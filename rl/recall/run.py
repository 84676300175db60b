"""One training of the recall model: its steps, its judgements, and the checkpoint from which it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...sim.attention.recall.model import Config
from ...sim.attention.recall.task import Episodes, RecallTask
from ...traces.errors import UsageError
from .network import forward, fresh
from .plan import Plan
from .save import save_recall

__all__ = ["STATE", "Progress", "Run"]

STATE = "training.pt"
TRAIN, JUDGE, REPORT = 0, 1, 2  # first number of a seed
MEMORY = 0.8
"""How much of the running accuracy is kept from step to step."""


@dataclass
class Progress:
    """Where a training stands."""

    step: int = 0
    stage: int = 0
    running: float = 0.0
    cpu_s: float = 0.0
    finished: bool = False
    log: list[dict[str, float]] = field(default_factory=list)


class Run:
    """One training under way.

    Parameters
    ----------
    folder : Path
    plan : Plan
    report : callable
        Told a line of progress now and then.
    """

    def __init__(self, folder: Path, plan: Plan, report: Callable[[str], None]) -> None:
        self.folder, self.plan, self.report = folder, plan, report
        self.config, self.at = Config(), Progress()
        self.weights = fresh(self.config, plan.seed)
        self.optimiser = torch.optim.AdamW(self.weights.values(), lr=plan.rate, weight_decay=plan.decay)

    def load(self, steps: int) -> None:
        """Take up the training in the folder, if there is one."""
        path = self.folder / STATE
        if not path.is_file():
            return
        kept = torch.load(path, weights_only=True)
        if kept["plan"] != self.plan.plain():
            other = sorted(key for key, value in self.plan.plain().items() if kept["plan"].get(key) != value)
            raise UsageError(
                f"{path}: a training with another {', '.join(other)}; choose another folder or begin --anew"
            )
        self.at = Progress(**kept["progress"])
        if self.at.step > steps:
            raise UsageError(
                f"{path}: {self.at.step} steps are done; ask for as many or more, not {steps}, or begin --anew"
            )
        for name, weight in kept["weights"].items():
            self.weights[name].data.copy_(weight)
        self.optimiser.load_state_dict(kept["optimiser"])

    def keep(self) -> None:
        """Write down where the training stands."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {"plan": self.plan.plain(), "progress": asdict(self.at), "optimiser": self.optimiser.state_dict()}
        state["weights"] = {name: weight.detach() for name, weight in self.weights.items()}
        torch.save(state, self.folder / f"{STATE}.part")
        (self.folder / f"{STATE}.part").replace(self.folder / STATE)

    def learn(self, steps: int) -> None:
        """Train until the target is reached or the steps are used up."""
        plan, at = self.plan, self.at
        began, before = time.process_time(), at.cpu_s
        while at.step < steps and not at.finished:
            tokens, pairs = plan.stages[at.stage]
            loss, right = self._step(
                RecallTask.of_length(tokens, pairs).episodes(plan.batch, (TRAIN, plan.seed, at.step))
            )
            at.step += 1
            at.running = MEMORY * at.running + (1 - MEMORY) * right
            at.cpu_s = before + time.process_time() - began
            last = at.stage == len(plan.stages) - 1
            mastered = at.running >= (plan.target if last else plan.advance)
            if at.step % plan.judge_every == 0 or (mastered and not last):
                line = {"step": at.step, "tokens": tokens, "loss": loss, "running": at.running, "cpu_s": at.cpu_s}
                at.log.append({name: round(value, 4) for name, value in line.items()})
                self.report(
                    f"step {at.step}: {tokens} tokens, {pairs} pairs: "
                    f"loss {loss:.3f}, right {at.running:.3f}, {at.cpu_s:.0f} CPU s"
                )
            if mastered and not last:
                at.stage, at.running = at.stage + 1, 0.0
            if at.step % plan.judge_every == 0:
                at.finished = mastered and last and self._judge()
                at.cpu_s = before + time.process_time() - began
                self.keep()
        self.keep()

    def _step(self, episodes: Episodes) -> tuple[float, float]:
        """One step; the loss and the share of right answers before it."""
        logits, answers = self._answer(episodes)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), answers.flatten())
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate * min(1.0, (self.at.step + 1) / self.plan.warm_up)
        self.optimiser.step()
        return loss.item(), (logits.argmax(-1) == answers).float().mean().item()

    def _answer(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        hidden = forward(self.weights, self.config, torch.from_numpy(episodes.tokens).long())
        return hidden[:, episodes.asked] @ self.weights["embed"].T, torch.from_numpy(episodes.answers).long()

    def _judge(self) -> bool:
        """Whether the target is reached on every kind of unseen sequences."""
        for tokens, pairs in self.plan.judged:
            with torch.no_grad():
                episodes = RecallTask.of_length(tokens, pairs).episodes(self.plan.sequences, (JUDGE, self.plan.seed))
                logits, answers = self._answer(episodes)
            right = (logits.argmax(-1) == answers).float().mean().item()
            self.report(f"judged at {tokens} tokens, {pairs} pairs: {right:.4f} right, target {self.plan.target}")
            if right < self.plan.target:
                return False
        return True

    def write(self, command: str) -> dict[str, Any]:
        """Write the model and what is to be said about it."""
        plan, at = self.plan, self.at
        trained = {
            "seed": plan.seed,
            "command": command,
            "finished": at.finished,
            "steps": at.step,
            "cpu_s": round(at.cpu_s, 1),
        }
        trained |= {"plan": plan.plain(), "log": at.log}
        return save_recall(
            self.folder, self.config, self.weights, plan.judged, plan.sequences, (REPORT, plan.seed), trained
        )
