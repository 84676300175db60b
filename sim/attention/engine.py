"""The attention engine: it owns the slots, lets queries attend, asks the policy, carries its actions out, counts bytes.

Attend, then evict: a step's queries see the slots that the step before left and their own token's, so a stream holds one slot
above its budget while they attend. Layers work one after another, as in a model: at any moment one of them is that full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...policies.kv.actions import Action, Evict, Select
from ...policies.kv.context import Layer, Prompt
from ...policies.kv.registry import KVPolicy
from ...policies.kv.setting import Setting
from ...traces.attention.rotary import rotate
from ...traces.errors import UsageError
from .account import Account
from .kernels import attend
from .log import PROMPT, ActionLog
from .prompts import LayerPrompt
from .recent import RecentQueries
from .rules import check_budgets, check_protected, check_shares, readable
from .slots import Slots
from .views import step_view

__all__ = ["Attended", "Engine"]

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Attended:
    """What a step's queries saw, before anything leaves.

    Attributes
    ----------
    step, newest : int
        Number of the decoding step, and position of its token.
    streams : slice
    ids : int32[streams, slots]
    count : int32[streams]
    weights : float[streams, group, slots]
    out : float[streams, group, head_dim]
    lse : float64[streams, group]
    read : Select or None
    """

    step: int
    newest: int
    streams: slice
    ids: npt.NDArray[np.int32]
    count: npt.NDArray[np.int32]
    weights: Floats
    out: Floats
    lse: npt.NDArray[np.float64]
    read: Select | None


class Engine:
    """Caches of all layers under one policy.

    Parameters
    ----------
    policy : KVPolicy
    setting : Setting
    windows : sequence of int or None, optional
        Sliding window of each layer: what slides out of it leaves, whatever the policy thinks of it.
    dtype : dtype
        Computed with: float32, or float64 for exact comparisons.
    element_bytes : int
        Of keys and values as the model stores them.
    wo : sequence of float[heads * head_dim, d_model] or None, optional
        Output projection of each layer.
    future : callable (int, int) -> (callable () -> float[heads, steps, positions]), optional
        For oracles: of a layer and sequence, the attention of every decoding step by the uncompressed cache.
    watch : callable (Attended), optional
        Shown each step after its queries have attended.
    record : bool
        Whether to write the action log.

    Attributes
    ----------
    slots : Slots
    log : ActionLog
    budgets : int32[streams]
        Slots that each stream may hold, as the policy shared them out.
    account : Account
        Bytes.

    Raises
    ------
    UsageError
        The budget is below what is protected.
    """

    def __init__(
        self,
        policy: KVPolicy,
        setting: Setting,
        *,
        windows: Sequence[int | None] | None = None,
        dtype: npt.DTypeLike = np.float32,
        element_bytes: int = 2,
        wo: Sequence[Floats | None] | None = None,
        future: Callable[[int, int], Callable[[], Floats]] | None = None,
        watch: Callable[[Attended], None] | None = None,
        record: bool = True,
    ) -> None:
        if policy.spec.name != "full" and setting.budget < setting.capacity:
            setting.protect.check(setting.budget, policy.forced, policy.label)
        self.policy, self.setting, self.needs = policy, setting, policy.needs()
        self.windows = tuple(windows or (None,) * setting.layers)
        self.wo = tuple(wo or (None,) * setting.layers)
        self.future, self.watch = future, watch
        self.session = policy.make(setting)
        self.slots = Slots(setting, policy.gqa, dtype, element_bytes)
        self.rows = setting.rows(policy.gqa)
        self.per_layer = setting.sequences * self.rows
        self.group = setting.heads // self.rows
        self.budgets = np.full(setting.streams(policy.gqa), setting.budget, np.int32)
        self.log = ActionLog()
        self.record = record
        self.generated = 0
        self.account = Account(self.slots, setting.layers)
        self.tokens: npt.NDArray[np.int32] | None = None
        self.missing_queries = 0
        kept = max(policy.kept_queries, 1)
        self.recent = RecentQueries(len(self.budgets), self.group, kept, setting.head_dim, dtype)

    def streams(self, layers: slice) -> slice:
        """The streams of some layers."""
        return slice(layers.start * self.per_layer, layers.stop * self.per_layer)

    def prompt(self, prompts: Sequence[Sequence[LayerPrompt]]) -> None:
        """Take in the prompts, compute nothing, and let the policy cut.

        Parameters
        ----------
        prompts : sequence of sequence of LayerPrompt
            Of each layer, of each sequence.
        """
        n, dim = self.setting.prompt, self.setting.head_dim
        repeat = self.rows // self.setting.kv_heads
        flat = [of_sequence for of_layer in prompts for of_sequence in of_layer]
        if len(flat) != self.setting.layers * self.setting.sequences or any(one.k.shape[1] != n for one in flat):
            raise UsageError(f"{len(flat)} prompts do not fit {self.setting}")
        self.slots.fill(
            np.concatenate([np.repeat(one.k, repeat, axis=0) for one in flat]),
            np.concatenate([np.repeat(one.v, repeat, axis=0) for one in flat]),
        )
        self.missing_queries = max(one.missing_for(self.needs) for one in flat)
        for number, one in enumerate(flat):
            held = one.q.reshape(self.rows, self.group, one.q.shape[1], dim)
            self.recent.fill(slice(number * self.rows, (number + 1) * self.rows), held)
        tokens = [one.tokens for one in prompts[0]]
        if all(of_sequence is not None for of_sequence in tokens):
            self.tokens = np.stack([np.asarray(of_sequence) for of_sequence in tokens])
        before = self.account.of_layers()
        for sequence in range(self.setting.sequences):
            view = Prompt(
                self.setting,
                [self._layer(layer, sequence, prompts[layer][sequence]) for layer in range(self.setting.layers)],
                self.budgets,
            )
            self._carry_out(self.session.on_prompt(view), PROMPT)
        self.budgets = self.budgets.copy()  # shared out for good: what a policy has kept of its view changes nothing
        self._slide_out(slice(0, self.setting.layers), n, PROMPT)
        self.slots.shrink()
        check_shares(self)
        self.account.prompt(before, self.policy.whole_prompt)

    def _layer(self, layer: int, sequence: int, source: LayerPrompt) -> Layer:
        first = layer * self.per_layer + sequence * self.rows
        sources = source.sources()
        if self.future is not None:
            attention = self.future(layer, sequence)
            sources["future"] = lambda: attention()
        return Layer(
            index=layer,
            n=self.setting.prompt,
            setting=self.setting,
            needs=self.needs,
            rotary=self.setting.rotary[layer],
            streams=slice(first, first + self.rows),
            sources=sources,
            missing_queries=source.missing_queries,
            window=self.windows[layer],
        )

    def step(
        self,
        newest: int,
        q: Floats,
        k: Floats,
        v: Floats,
        layers: slice | None = None,
        tokens: npt.NDArray[np.int32] | None = None,
    ) -> Floats:
        """Append one token to some layers, attend, and let the policy act.

        Parameters
        ----------
        newest : int
            Its position.
        q : float[layers, sequences, heads, head_dim]
        k, v : float[layers, sequences, kv_heads, head_dim]
        layers : slice, optional
            Which; all of them if not given. A model calls layer by layer.
        tokens : int32[sequences], optional
            Its token ids.

        Returns
        -------
        float[layers, sequences, heads, head_dim]
            Attention output over what is left.
        """
        layers = layers or slice(0, self.setting.layers)
        number, dim = newest - self.setting.prompt, self.setting.head_dim
        block = self.streams(layers)
        slots = self.slots
        repeat = self.rows // self.setting.kv_heads
        queries = np.ascontiguousarray(q, slots.keys.dtype).reshape(-1, self.group, dim)
        keys = np.repeat(k.reshape(-1, self.setting.kv_heads, dim), repeat, axis=1).reshape(-1, dim)
        values = np.repeat(v.reshape(-1, self.setting.kv_heads, dim), repeat, axis=1).reshape(-1, dim)
        if slots.shift[block].any():
            queries, keys = self._turned(block, queries, keys)
        slots.append(block, newest, keys, values)
        self.recent.append(block, queries)
        if tokens is not None and self.tokens is not None and layers.start == 0:
            self.tokens = np.concatenate([self.tokens, tokens[:, None]], axis=1)

        width = int(slots.count[block].max())
        ids, count = slots.ids[block, :width], slots.count[block]
        weights = np.empty((len(count), self.group, width), slots.keys.dtype)
        out = np.empty_like(queries)
        lse = np.empty((len(count), self.group))
        attended: list[Floats] = []
        view = step_view(self, number, newest, block, ids, count, attended)
        selected = self.session.select(view) if self.policy.selects else None
        attend(
            queries,
            slots.keys,
            slots.values,
            block.start,
            ids,
            count,
            slots.log_mass if slots.merged else None,
            None if selected is None else readable(self, selected, ids, block),
            slots.keys.dtype.type(self.setting.scale),
            weights,
            out,
            lse,
        )
        attended.append(weights)
        if self.watch is not None:
            self.watch(Attended(number, newest, block, ids, count, weights, out, lse, selected))
        self.account.attended(layers, block, ids, selected)
        self._carry_out(self.session.on_step(view), number)
        self._slide_out(layers, newest + 1, number)
        self.generated = number + 1
        check_budgets(self, block, self.policy.slack + (self.generated if self.policy.prompt_only else 0))
        self.account.acted(layers)
        if selected is not None and self.record:
            self.log.selections.append((number, block.start, selected))
        made = layers.stop - layers.start
        return out.reshape(made, self.setting.sequences, self.setting.heads, dim)

    def _turned(self, block: slice, queries: Floats, keys: Floats) -> tuple[Floats, Floats]:
        """Turn queries and keys of repositioned streams to the position at which the text continues for them."""
        queries, keys = queries.copy(), keys.copy()
        layer_of = np.arange(block.start, block.stop) // self.per_layer
        for rotary in set(self.setting.rotary):
            alike = np.array([rotary == one for one in self.setting.rotary])
            rows = np.flatnonzero((self.slots.shift[block] != 0) & alike[layer_of])
            by = self.slots.shift[block][rows]
            how = (rotary.theta, rotary.pairing, rotary.dim or None)
            flat = queries[rows].reshape(len(rows) * self.group, -1)
            queries[rows] = rotate(flat, np.repeat(by, self.group), *how).reshape(len(rows), self.group, -1)
            keys[rows] = rotate(keys[rows], by, *how)
        return queries, keys

    def _carry_out(self, actions: Sequence[Action], number: int) -> None:
        for action in actions:
            if isinstance(action, Evict) and not len(action.ids):
                continue
            check_protected(self, action, number)
            self.slots.apply(action)
            if self.record:
                self.log.entries.append((number, action))

    def _slide_out(self, layers: slice, newest: int, number: int) -> None:
        """Evict what a layer's sliding window no longer reaches for the query at `newest`."""
        for layer in range(layers.start, layers.stop):
            window = self.windows[layer]
            if window is None or newest - window < 0:
                continue
            block = self.streams(slice(layer, layer + 1))
            ids = self.slots.ids[block]
            row, place = np.nonzero((ids >= 0) & (ids <= newest - window))
            if len(row):
                slid = Evict((row + block.start).astype(np.int32), ids[row, place])
                self.slots.apply(slid)
                if self.record:
                    self.log.entries.append((number, slid))
