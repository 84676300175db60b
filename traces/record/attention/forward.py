"""The forward pass of a small decoder-only model in plain torch, float32, with the attention left to whoever asks.

The model keeps no state: a caller that decodes token by token owns the keys and values, and may keep as few of them as
it likes. That is what a closed-loop run of an eviction policy needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ...attention.weights import Q4_1_BYTES
from ...errors import UsageError
from .config import ModelConfig, Tap
from .exact import causal_attention
from .gguf_file import GGUFFile
from .gguf_weights import LayerWeights, Weights, read_weights
from .tokenizer import encode

__all__ = ["Attend", "AttendBlock", "Model", "load_model"]

Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""``attend(layer, q [H, d], k [Hk, d], v [Hk, d], position) -> out [H*d]``, with q and k after the rotation."""

AttendBlock = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""``attend(layer, q [H, n, d], k [Hk, n, d], v [Hk, n, d], positions [n]) -> out [n, H*d]``."""


def load_model(path: str | Path) -> Model:
    """Load the weights of a GGUF file.

    Parameters
    ----------
    path : str or Path
        A ``.gguf`` file of architecture llama or gemma3.

    Raises
    ------
    UsageError
        An architecture that is not known; the message says what to do.
    FormatError
        The file is damaged, or is no GGUF.
    """
    file = GGUFFile(Path(path))
    return Model(read_weights(file), file)


class Model:
    """A model to run; made by `load_model`.

    Attributes
    ----------
    config : ModelConfig
    """

    def __init__(self, weights: Weights, file: GGUFFile) -> None:
        self.config: ModelConfig = weights.config
        self._weights = weights
        self._file = file
        self._inverse = {
            theta: theta ** -(torch.arange(0, dim, 2).float() / dim)
            for theta, dim in {(layer.rope_theta, layer.rotary_dim) for layer in self.config.layers}
        }

    @torch.no_grad()
    def forward(self, token_ids: Any, tap: Tap | None = None, last: int | None = None) -> torch.Tensor:
        """Run all tokens at once with exact attention.

        Parameters
        ----------
        token_ids : sequence of int, length T
        tap : callable, optional
            Shown what each layer's attention reads, see `Tap`.
        last : int, optional
            Of how many last tokens the logits are wanted; a row is large.

        Returns
        -------
        Tensor [T or last, vocab]
            Logits; row t says which token may follow token t.
        """
        hidden = self._whole(token_ids, tap)
        return self._logits(hidden if last is None else hidden[-last:])

    def forward_prefill(self, token_ids: Any, tap: Tap | None = None) -> torch.Tensor:
        """As `forward`, but only the logits [vocab] after the last token; the tap hands the caller its first cache."""
        return self.forward(token_ids, tap, last=1)[0]

    @torch.no_grad()
    def block(self, tokens: Any, positions: Any, attend: AttendBlock) -> torch.Tensor:
        """Run some tokens whose past the caller holds.

        Parameters
        ----------
        tokens, positions : sequence of int, length n
            Positions count from 0 and need not follow on each other.
        attend : AttendBlock
            Called once per layer. Which token may see which is up to it.

        Returns
        -------
        Tensor [n, vocab]
        """
        positions = torch.as_tensor(positions)
        return self._logits(self._run(tokens, positions, lambda i, q, k, v, x: attend(i, q, k, v, positions)))

    def step(self, token: int, position: int, attend: Attend) -> torch.Tensor:
        """Run one token whose past the caller holds; returns the logits [vocab] after it."""

        def one(i: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            return attend(i, q[:, 0], k[:, 0], v[:, 0], position)[None]

        return self.block([token], [position], one)[0]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with the token that the model wants at the beginning, if any."""
        return encode(self._file, self.config.sha256, text)

    def projection(self, layer: int) -> dict[str, Any]:
        """Output projection of a layer: ``wo_q4_1`` [d_model, blocks, 20] as stored, or else ``wo`` [H*d, d_model] float32."""
        kind, stored = self._file.packed(f"blk.{layer}.attn_output.weight")
        if kind == "Q4_1":
            return {"wo_q4_1": stored.reshape(len(stored), -1, Q4_1_BYTES)}
        return {"wo": self._weights.layers[layer].attn_output.T.contiguous().numpy()}

    def _whole(self, token_ids: Any, tap: Tap | None) -> torch.Tensor:
        scale, layers = self.config.scale, self.config.layers

        def attend(i: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            own = None if tap is None else tap(i, q, k, v, x)
            return causal_attention(q, k, v, scale, layers[i].window) if own is None else own

        return self._run(token_ids, torch.arange(len(token_ids)), attend)

    def _run(self, token_ids: Any, positions: torch.Tensor, attend: Callable[..., torch.Tensor]) -> torch.Tensor:
        """Return the last layer's output [n, d_model]; ``attend(layer, q, k, v, x) -> [n, H*d]``."""
        config, weights = self.config, self._weights
        tokens = _checked(token_ids, config.vocab)
        turns = {theta: _turn(positions, inverse) for theta, inverse in self._inverse.items()}
        hidden = weights.embedding[tokens] * weights.embedding_scale
        for info, layer in zip(config.layers, weights.layers, strict=True):
            x = self._norm(hidden, layer.attn_norm)
            q = self._heads(x @ layer.attn_q.T, layer.attn_q_norm)
            k = self._heads(x @ layer.attn_k.T, layer.attn_k_norm)
            v = self._heads(x @ layer.attn_v.T, None)
            turn = turns[info.rope_theta]
            out = attend(info.index, _rotated(q, *turn), _rotated(k, *turn), v, x) @ layer.attn_output.T
            hidden = hidden + self._norm(out, layer.post_attention_norm)
            hidden = hidden + self._norm(self._feed_forward(hidden, layer), layer.post_ffw_norm)
        return hidden

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._norm(hidden, self._weights.norm) @ self._weights.output.T

    def _heads(self, rows: torch.Tensor, norm: torch.Tensor | None) -> torch.Tensor:
        """[n, heads * d] -> [heads, n, d], normalised where the architecture does that."""
        return self._norm(rows.view(len(rows), -1, self.config.head_dim), norm).transpose(0, 1)

    def _feed_forward(self, hidden: torch.Tensor, layer: LayerWeights) -> torch.Tensor:
        x = self._norm(hidden, layer.ffn_norm)
        gate = x @ layer.ffn_gate.T
        opened = F.gelu(gate, approximate="tanh") if self._weights.gelu else F.silu(gate)
        return (opened * (x @ layer.ffn_up.T)) @ layer.ffn_down.T

    def _norm(self, x: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        if weight is None:
            return x
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self._weights.eps) * weight


def _turn(positions: torch.Tensor, inverse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    angle = positions.float()[:, None] * inverse
    both = torch.cat([angle, angle], dim=-1)
    return both.cos(), both.sin()


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn dimension i with i + d/2 (rotate-half); x is [heads, n, d]."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def _checked(token_ids: Sequence[int] | torch.Tensor, vocab: int) -> torch.Tensor:
    tokens = torch.as_tensor(token_ids, dtype=torch.long)
    if tokens.ndim != 1 or not len(tokens):
        raise UsageError(f"tokens of shape {tuple(tokens.shape)}, but one request is a row of at least one token")
    if int(tokens.min()) < 0 or int(tokens.max()) >= vocab:
        bad = int(tokens.max()) if int(tokens.max()) >= vocab else int(tokens.min())
        raise UsageError(f"token {bad} is none of this model's {vocab:,} tokens (0 .. {vocab - 1})")
    return tokens
