"""Exact answers under eviction: the recall model answers from whatever its caches still hold (closed loop, L2).

The prompt is read with the full cache; then the policy cuts, and then the queries come: nobody knows at the cut what will
be asked. Each answer is right or wrong. What one layer forgets changes what the next one sees, as in any model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ...policies.kv.protect import Protect
from ...policies.kv.registry import KVPolicy, parse_kv_policy
from ...policies.kv.setting import Rotary, Setting
from .budget import Budget
from .engine import Engine
from .metrics import Meter
from .prompts import LayerPrompt
from .recall import Episodes, RecallModel, RecallTask
from .reference import Reference, full_attention, reference_of

__all__ = ["RecallBench", "RecallRun"]

Floats = npt.NDArray[np.floating]

HELD_OUT = 9
"""Begins the seeds of sequences that no training has seen."""


@dataclass(frozen=True)
class RecallRun:
    """Answers of one policy with one budget.

    Attributes
    ----------
    policy, budget : str
    right : bool[sequences, queries]
    slots : float
        Live slots of a head, mean over the steps.
    oracle, prompt_only : bool
    """

    policy: str
    budget: str
    right: npt.NDArray[np.bool_] = field(repr=False)
    slots: float
    oracle: bool
    prompt_only: bool

    @property
    def accuracy(self) -> float:
        """Share of the queries answered right."""
        return float(self.right.mean())

    @property
    def standard_error(self) -> float:
        """Of the accuracy; sequences are independent, queries of one sequence are not."""
        each = self.right.mean(1)
        return float(each.std(ddof=1) / len(each) ** 0.5) if len(each) > 1 else float("nan")

    def row(self) -> dict[str, Any]:
        """One row of a table. Its fidelity is L2: what is lost in one layer reaches the next."""
        return {
            "policy": self.policy,
            "budget": self.budget,
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "live_slots": self.slots,
            "fidelity": "L2",
            "oracle": self.oracle,
            "prompt_only": self.prompt_only,
        }


class RecallBench:
    """Sequences of the recall task, read once with the full cache, on which policies are then tried.

    Parameters
    ----------
    sequences : int
    seed : int
        Of the sequences.
    task : RecallTask, optional
        By default 32 pairs in a prompt of 128 tokens, then 64 queries.
    model : RecallModel, optional
        By default the one that comes with evictlab.
    """

    def __init__(
        self, sequences: int = 24, seed: int = 0, task: RecallTask | None = None, model: RecallModel | None = None
    ) -> None:
        self.task = task or RecallTask()
        self.model = model or RecallModel.load()
        self.episodes: Episodes = self.task.episodes(sequences, (HELD_OUT, seed))
        self.sequences = sequences
        whole = self.model.prefill(self.episodes.tokens)
        self._told = self.model.prefill(self.episodes.tokens[:, : self.task.prompt])
        self._q = [layer.q for layer in whole.layers]
        self._k = [layer.k for layer in whole.layers]
        self._v = [layer.v for layer in whole.layers]
        answers = self.model.logits(whole.hidden[:, self.episodes.asked]).argmax(-1)
        self.full_accuracy = float((answers == self.episodes.answers).mean())
        self._future: dict[tuple[int, int], Floats] = {}

    @property
    def words(self) -> str:
        """What is asked, in a line."""
        task = self.task
        return (
            f"{self.sequences} texts of {task.length} tokens: a prompt of {task.prompt} with {task.pairs} pairs, "
            f"then {task.queries} queries"
        )

    def setting(self, budget: Budget, protect: Protect, seed: int) -> Setting:
        """The shape of the caches."""
        config = self.model.config
        return Setting(
            layers=config.layers,
            sequences=self.sequences,
            heads=config.heads,
            kv_heads=config.heads,
            head_dim=config.head_dim,
            prompt=self.task.prompt,
            capacity=self.task.length,
            budget=budget.slots(self.task.prompt),
            protect=protect,
            seed=seed,
            scale=config.head_dim**-0.5,
            rotary=(Rotary(config.theta, config.head_dim, "half"),) * config.layers,
            indices=tuple(range(config.layers)),
        )

    def run(
        self, policy: str | KVPolicy, budget: str | Budget, *, protect: str | Protect = "none", seed: int = 0
    ) -> RecallRun:
        """Let the model answer with caches under a policy.

        Parameters
        ----------
        policy : str or KVPolicy
        budget : str or Budget
            Slots per head, or a share of the prompt.
        protect : str or Protect
        seed : int
            Of the policy.
        """
        chosen, engine, wanted = self._engine(policy, budget, protect, seed)
        asked = dict.fromkeys(self.episodes.asked.tolist())
        right = np.zeros(self.episodes.answers.shape, bool)
        live: list[float] = []
        carry = self._told.carry.copy()

        def attend(layer: int, q: Floats, k: Floats, v: Floats) -> Floats:
            out = engine.step(position, q[None], k[None], v[None], layers=slice(layer, layer + 1), tokens=tokens)
            return np.asarray(out[0])

        engine.watch = lambda seen: live.append(float(seen.count.mean()))
        number = 0
        for position in range(self.task.prompt, self.task.length):
            tokens = self.episodes.tokens[:, position]
            logits = self.model.step(tokens, position, attend, carry)
            if position in asked:
                right[:, number] = logits.argmax(-1) == self.episodes.answers[:, number]
                number += 1
        return RecallRun(chosen.label, wanted.text, right, float(np.mean(live)), chosen.oracle, chosen.prompt_only)

    def metrics(
        self, policy: str | KVPolicy, budget: str | Budget, *, protect: str | Protect = "none", seed: int = 0
    ) -> dict[str, float]:
        """What a replay of the recorded attention says of the same policy on the same sequences (open loop).

        Returns
        -------
        dict of str to float
            Means over steps, sequences, layers and heads; ``*_worst`` over the worst twentieth of a head's queries.
        """
        from .result import worst

        _, engine, _ = self._engine(policy, budget, protect, seed)
        heads = self.model.config.heads
        rows = engine.rows
        meter = Meter(
            self.references,
            heads,
            [None] * len(self.references),
            engine.slots,
            rows,
            lambda number: self._future_of(*divmod(number, self.sequences))(),
        )
        engine.watch = meter
        for position in range(self.task.prompt, self.task.length):
            q, k, v = (
                np.stack([of_layer[:, :, position] for of_layer in held]) for held in (self._q, self._k, self._v)
            )
            engine.step(position, q, k, v, tokens=self.episodes.tokens[:, position])
        beyond = meter.mass_beyond_sink[np.isfinite(meter.mass_beyond_sink)]
        return {
            "mass": float(meter.mass.mean()),
            "mass_beyond_sink": float(beyond.mean()),
            "mass_worst": worst(meter.mass, low=True),
            "recall": float(meter.recall.mean()),
            "recall_worst": worst(meter.recall, low=True),
            "output_error": float(meter.error.mean()),
            "output_error_worst": worst(meter.error, low=False),
            "live_slots": float(meter.live.mean()),
        }

    @cached_property
    def references(self) -> list[Reference]:
        """Full attention of each layer's decoding queries, sequence by sequence."""
        n, scale = self.task.prompt, self.model.config.head_dim**-0.5
        return [
            reference_of(q[s][:, n:], k[s], v[s], n, scale, top=4)
            for q, k, v in zip(self._q, self._k, self._v, strict=True)
            for s in range(self.sequences)
        ]

    def _engine(
        self, policy: str | KVPolicy, budget: str | Budget, protect: str | Protect, seed: int
    ) -> tuple[KVPolicy, Engine, Budget]:
        """A fresh engine that has read the prompts."""
        chosen = parse_kv_policy(policy)
        wanted = budget if isinstance(budget, Budget) else Budget.parse(budget)
        setting = self.setting(wanted, protect if isinstance(protect, Protect) else Protect.parse(protect), seed)
        needs = chosen.needs()
        engine = Engine(
            chosen,
            setting,
            element_bytes=4,
            wo=[self.model.weights[f"layers.{layer}.o"] for layer in range(setting.layers)],
            future=self._future_of if needs.future or needs.full_weights else None,
            record=False,
        )
        prompts = [
            [
                LayerPrompt(
                    q=layer.q[s],
                    k=layer.k[s],
                    v=layer.v[s],
                    rotary=setting.rotary[number],
                    scale=setting.scale,
                    wo=engine.wo[number],
                    tokens=self.episodes.tokens[s, : self.task.prompt],
                )
                for s in range(self.sequences)
            ]
            for number, layer in enumerate(self._told.layers)
        ]
        engine.prompt(prompts)
        return chosen, engine, wanted

    def _future_of(self, layer: int, sequence: int) -> Any:
        """Attention of the sequence's decoding queries by the full cache: what oracles know."""

        def attention() -> Floats:
            if (layer, sequence) not in self._future:
                n = self.task.prompt
                q, k = self._q[layer][sequence][:, n:], self._k[layer][sequence]
                self._future[layer, sequence], _ = full_attention(q, k, n, self.model.config.head_dim**-0.5)
            return self._future[layer, sequence]

        return attention
