"""Passkey retrieval under eviction with a real model (closed loop, L2): five digits, stated once in a long text.

The text is the one that comes with the embedded attention trace, cut at random. Either the question is already part of what is
read before the caches are cut, which tells a policy that looks at the last queries what matters; or it comes after the cut,
as it does for agents, documents and conversations. Only digits are scored, with the right ones fed back: all five most
likely in turn is the same as a greedy answer that is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...policies.kv.protect import Protect
from ...policies.kv.registry import KVPolicy, parse_kv_policy
from ...policies.kv.setting import Rotary, Setting
from ...traces.errors import CapabilityError, UsageError
from .accuracy import RecallRun
from .budget import Budget
from .engine import Engine
from .prompts import LayerPrompt
from .reference import full_attention

if TYPE_CHECKING:
    import torch

    from ...traces.record.attention import Model

__all__ = ["PasskeyBench"]

Floats = npt.NDArray[np.floating]

NEEDLE = " The pass key is {digits}. Remember it."
QUESTION = "\n\nQuestion: What is the pass key?\nAnswer: The pass key is"
DIGITS = 5


@dataclass(frozen=True)
class _Trial:
    """One text that was read with the full cache: what its layers hold, and what is asked afterwards."""

    read: list[int]
    later: list[int]
    digits_at: list[int]
    q: list[Floats]
    k: list[Floats]
    v: list[Floats]


class PasskeyBench:
    """Texts with a passkey, read once with the full cache, on which policies are then tried.

    Parameters
    ----------
    model : Model
        See `evictlab.traces.record.attention.load_model`.
    text : str
        To hide the key in; at least as long as the texts to be read.
    trials : int
    tokens : int
        Read before the caches are cut.
    question : {"after", "before"}
        The cut.
    seed : int
        Of keys, depths and places in the text.
    """

    def __init__(
        self, model: Model, text: str, trials: int = 12, tokens: int = 512, question: str = "after", seed: int = 0
    ) -> None:
        if question not in ("after", "before"):
            raise UsageError(f"the question comes 'after' or 'before' the caches are cut, not {question!r}")
        self.model, self.tokens, self.question = model, tokens, question
        rng = np.random.default_rng([17, seed])
        self._start = model.encode("")  # what the model wants at the beginning of a text, and only there
        self._digit_tokens = {self._encode(f"a{digit}")[-1] for digit in range(10)}
        haystack = self._encode(text)
        self.trials = [self._trial(haystack, rng) for _ in range(trials)]
        answered = [self._answers(trial, None) for trial in self.trials]
        self.full_accuracy = float(np.mean(answered))

    @property
    def words(self) -> str:
        """What is asked, in a line."""
        return (
            f"{self.model.config.name}, {len(self.trials)} texts of {self.tokens} tokens with a key of {DIGITS} digits "
            f"stated once; the question comes {self.question} the caches are cut"
        )

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self.model.encode(text)
        return tokens[len(self._start) :]

    def _trial(self, haystack: list[int], rng: np.random.Generator) -> _Trial:
        digits = "".join(str(digit) for digit in rng.integers(0, 10, DIGITS))
        needle = self._encode(NEEDLE.format(digits=digits))
        question = self._encode(QUESTION)
        answer = self._encode(f" {digits}.")
        room = self.tokens - len(self._start) - len(needle) - (len(question) if self.question == "before" else 0)
        if room > len(haystack) or room < 1:
            raise UsageError(
                f"a text of {len(haystack)} tokens cannot fill {self.tokens}; take fewer tokens or a longer text"
            )
        start = int(rng.integers(0, len(haystack) - room + 1))
        depth = int(rng.integers(0, room + 1))
        part = haystack[start : start + room]
        read = self._start + part[:depth] + needle + part[depth:]
        later = question + answer
        if self.question == "before":
            read, later = read + question, answer
        at = [place for place in range(len(later) - len(answer), len(later)) if later[place] in self._digit_tokens]
        if len(at) != DIGITS:
            raise CapabilityError(
                f"{self.model.config.name}: its tokenizer does not write {digits} as {DIGITS} tokens of a digit each, which "
                "is how answers are judged"
            )
        q: list[Floats] = []
        k: list[Floats] = []
        v: list[Floats] = []

        def tap(layer: int, queries: Any, keys: Any, values: Any, x: Any) -> None:
            q.append(queries.numpy().copy())
            k.append(keys.numpy().copy())
            v.append(values.numpy().copy())

        self.model.forward_prefill(read, tap)
        return _Trial(read, later, at, q, k, v)

    def run(
        self, policy: str | KVPolicy, budget: str | Budget, *, protect: str | Protect = "none", seed: int = 0
    ) -> RecallRun:
        """Let the model answer with caches under a policy; see `RecallBench.run`."""
        chosen = parse_kv_policy(policy)
        needs = chosen.needs()
        if needs.future or needs.full_weights:
            raise CapabilityError(f"{chosen.label} reads the uncompressed cache, which this task does not record")
        wanted = budget if isinstance(budget, Budget) else Budget.parse(budget)
        kept = protect if isinstance(protect, Protect) else Protect.parse(protect)
        live: list[float] = []
        right = []
        for trial in self.trials:
            engine = self._engine(trial, chosen, wanted, kept, seed)
            engine.watch = lambda seen: live.append(float(seen.count.mean()))
            right.append([self._answers(trial, engine)])
        return RecallRun(
            chosen.label, wanted.text, np.array(right), float(np.mean(live)), chosen.oracle, chosen.prompt_only
        )

    def _engine(self, trial: _Trial, policy: KVPolicy, budget: Budget, protect: Protect, seed: int) -> Engine:
        config = self.model.config
        rotary = tuple(Rotary(info.rope_theta, info.rotary_dim, info.pairing) for info in config.layers)
        setting = Setting(
            layers=len(config.layers),
            sequences=1,
            heads=config.heads,
            kv_heads=config.kv_heads,
            head_dim=config.head_dim,
            prompt=len(trial.read),
            capacity=len(trial.read) + len(trial.later),
            budget=budget.slots(len(trial.read)),
            protect=protect,
            seed=seed,
            scale=config.scale,
            rotary=rotary,
            indices=tuple(range(len(config.layers))),
        )
        wo = [self._projection(layer) if policy.needs().projection else None for layer in range(len(config.layers))]
        engine = Engine(policy, setting, windows=[info.window for info in config.layers], wo=wo, record=False)
        engine.prompt(
            [
                [
                    LayerPrompt(
                        q=trial.q[layer],
                        k=trial.k[layer],
                        v=trial.v[layer],
                        rotary=rotary[layer],
                        scale=config.scale,
                        wo=wo[layer],
                        tokens=np.array(trial.read, np.int32),
                        window=info.window,
                    )
                ]
                for layer, info in enumerate(config.layers)
            ]
        )
        return engine

    def _projection(self, layer: int) -> Floats:
        from ...traces.attention.weights import decode_q4_1

        held = self.model.projection(layer)
        return np.asarray(held["wo"] if "wo" in held else decode_q4_1(held["wo_q4_1"]).T)

    def _answers(self, trial: _Trial, engine: Engine | None) -> bool:
        """Whether every digit is the most likely next token; with the full cache where there is no engine."""
        import torch

        first = len(trial.read)
        positions = list(range(first, first + len(trial.later)))

        def attend(layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
            if engine is None:
                return _full(trial, layer, q, k, v, self.model.config.scale, self.model.config.layers[layer].window)
            out = []
            for number, position in enumerate(positions):
                tokens = np.array([trial.later[number]], np.int32)
                row, key, value = (part[None, None, :, number].numpy() for part in (q, k, v))
                made = engine.step(position, row, key, value, layers=slice(layer, layer + 1), tokens=tokens)
                out.append(made.reshape(-1))
            return torch.from_numpy(np.stack(out))

        logits: Any = self.model.block(trial.later, positions, attend)
        return all(int(logits[place - 1].argmax()) == trial.later[place] for place in trial.digits_at)


def _full(
    trial: _Trial, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, window: int | None
) -> torch.Tensor:
    """Attention over the text and what came later, nothing evicted: [n, heads * head_dim]."""
    import torch

    keys = np.concatenate([trial.k[layer], k.numpy()], axis=1)
    values = np.concatenate([trial.v[layer], v.numpy()], axis=1)
    weights, _ = full_attention(q.numpy(), keys, len(trial.read), scale, window)
    out = np.repeat(values, len(weights) // len(values), axis=0)
    return torch.from_numpy((weights @ out).swapaxes(0, 1).reshape(q.shape[1], -1))
