"""What a cache policy of the web would throw away, with tokens for pages: LRU, S3-FIFO, ARC and their like.

A slot that gets at least `alpha` of a step's attention is *used*: that is a request, and a hit. Slots are requested in the
order of their positions, and then the newcomer, which is inserted; the policy names who leaves for it, or refuses it. Every
stream has a policy's state of its own; each token takes one place, and the clock counts requests.

Protected slots are not the policy's business: a token comes to it when it leaves protection (the recent window). Its
capacity is the budget less what is protected once all protected places are taken.

The prompt is a string of requests, too: its tokens in order, and, before each of the last `window` ones, those that its query
uses. All keys are there until the prompt ends, so a token that the policy had given up may come back. What it holds at the
end of that stays. Uses by earlier queries are not looked at.

A cache policy is told of uses, not how much attention they were, and so knows less than a policy made for attention. Nor can
it be told that a slot slid out of a layer's own window: such a slot takes a place until the policy names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ....traces.errors import CapabilityError, UsageError
from ...registry import Policy, parse_policy
from ...setting import Setting as CacheSetting
from ...words import in_words
from ..actions import Action, Evict
from ..context import Prompt, Step
from ..needs import Needs
from ..pooling import reduce_heads
from ..registry import KVPolicy, Session, kv_policy
from ..setting import Setting
from ..step_scorer import at_ids

__all__ = ["Paging"]

_TOKENS = 1024  # for which a state is made to see how large it is


@kv_policy(
    title="Cache policy on tokens",
    year=2026,
    source="see the cache policy: evictlab policies NAME",
    scorer="uses: attention of at least alpha",
    window="32, then every decoding step",
    gqa="mean",
)
@dataclass(frozen=True)
class Paging(KVPolicy):
    """Keeps what a cache policy would keep.

    Attributes
    ----------
    policy : str
        Of `evictlab.policies`, as on its command line: ``"s3fifo:small=0.2"``.
    alpha : float
        Attention that counts as a use.
    window : int
        Last queries of the prompt whose uses count.
    gqa : {"mean", "max", "none"}
    """

    policy: str = "lru"
    alpha: float = 0.01
    window: int = 32
    gqa: str = "mean"

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1 or self.window < 0:
            raise UsageError(
                f"paging: alpha={self.alpha} must be above 0 and at most 1, window={self.window} not negative"
            )
        inner = self.inner
        if inner.offline:
            raise CapabilityError(
                f"{inner.label} needs each token's next use, and a token that has left is used by nobody: its future depends "
                "on what is evicted. The bounds for attention are policies of their own: evictlab attention policies"
            )
        if inner.predictions:
            raise CapabilityError(
                f"{inner.label} reads predictions ({inner.predictions[0]}), and nobody predicts tokens"
            )

    @property
    def inner(self) -> Policy:
        """The cache policy."""
        return parse_policy(self.policy)

    @property
    def random(self) -> bool:
        """Whether the cache policy draws at random."""
        return self.inner.random

    @property
    def label(self) -> str:
        """The cache policy as it is written on the command line; with what is said about uses where that differs."""
        if self == type(self)(policy=self.policy):
            return self.inner.label
        return in_words(self.spec.name, self, always=1)

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(weights=True, window=self.window)

    @property
    def kept_queries(self) -> int:
        """None: they are asked at the end of the prompt only."""
        return 0

    @property
    def metadata_bytes(self) -> int:
        """As large as the policy's state for so many tokens is, per token."""
        return -(-_bytes(self.inner.make(CacheSetting(_TOKENS, _TOKENS))) // _TOKENS)

    def make(self, setting: Setting) -> Session:
        """Return a session.

        Raises
        ------
        UsageError
            Protection leaves the cache policy no place.
        CapabilityError
            The cache policy needs what tokens lack.
        """
        return _Tokens(self, setting)


class _Tokens(Session):
    def __init__(self, policy: Paging, setting: Setting) -> None:
        from ._serve import serve_for

        self.policy, self.setting = policy, setting
        tokens = np.arange(setting.capacity, dtype=np.int32)
        protected = int(setting.protect.mask(tokens, setting.capacity - 1, setting.prompt).sum())
        self.room = setting.budget - protected
        if self.room < 1 and setting.budget < setting.capacity:
            raise UsageError(
                f"a budget of {setting.budget} slots, of which {protected} are protected, leaves {policy.label} nothing to "
                f"decide; give it at least {protected + 1}"
            )
        self.room = max(self.room, 1)
        streams, inner = setting.streams(policy.gqa), policy.inner
        self.states = [
            inner.make(CacheSetting(setting.capacity, self.room, seed=setting.seed + (stream << 32)))
            for stream in range(streams)
        ]
        self.serve = serve_for(self.states[0])
        self.held = np.zeros(streams, np.int64)
        self.clock = np.zeros(streams, np.int64)
        self.resident = np.zeros((streams, setting.capacity), bool)

    def _request(self, stream: int, tokens: npt.NDArray[np.int32], start: int, stop: int) -> None:
        state = self.states[stream]
        self.serve(tokens, start, stop, stream, self.room, self.held, self.clock, self.resident, state)

    def on_prompt(self, prompt: Prompt) -> list[Action]:
        """Let the policy see the prompt as a string of requests; what it does not hold in the end leaves."""
        window = min(self.policy.window, prompt.n)
        before = prompt.n - window
        actions: list[Action] = []
        for layer in prompt.layers:
            free = ~prompt.held() & ~layer.gone
            early = np.flatnonzero(free[:before]).astype(np.int32)
            used = np.zeros((layer.streams.stop - layer.streams.start, window, prompt.n), bool)
            if window:
                given = reduce_heads(layer.weights(window), layer.kv_heads, self.policy.gqa)
                used = given >= self.policy.alpha
            used[:, np.arange(window), np.arange(before, prompt.n)] = True  # each query's own token arrives
            used &= free
            for row, of_stream in enumerate(used):
                asked = np.concatenate([early, np.nonzero(of_stream)[1].astype(np.int32)])
                self._request(layer.streams.start + row, asked, 0, len(asked))
            streams, tokens = np.nonzero(free & ~self.resident[layer.streams, : prompt.n])
            actions.append(Evict((streams + layer.streams.start).astype(np.int32), tokens.astype(np.int32)))
        return actions

    def on_step(self, step: Step) -> list[Action]:
        """Request what the step used and what has come out of protection."""
        given = reduce_heads(step.weights.reshape(-1, step.ids.shape[1]), len(step.ids), self.policy.gqa)
        free = step.live & ~step.protected
        asked = free & ((given >= self.policy.alpha) | ~at_ids(self.resident, step).astype(bool))
        tokens, start = step.ids[asked], 0
        for row, stop in enumerate(np.cumsum(asked.sum(1)).tolist()):
            self._request(step.streams.start + row, tokens, start, stop)
            start = stop
        streams, place = np.nonzero(free & ~at_ids(self.resident, step).astype(bool))
        return [Evict((streams + step.streams.start).astype(np.int32), step.ids[streams, place])]


def _bytes(state: Any) -> int:
    """Bytes of all arrays in a state."""
    if isinstance(state, tuple):
        return sum(_bytes(part) for part in state)
    return int(getattr(state, "nbytes", 0))
