"""What a trace has to know of a model, whether its weights come from a GGUF file or a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

    from ...attention import LayerInfo

__all__ = ["ModelConfig", "Recordable", "Tap"]


@dataclass(frozen=True)
class ModelConfig:
    """Shapes and facts of a model.

    Attributes
    ----------
    architecture : str
        ``"llama"``, ``"gemma3"``, or what a Hugging Face folder calls its model type.
    name : str
        For people, for example ``"SmolLM2-135M-Instruct.Q4_1"``.
    file : str
        Name of the file or folder that it came from.
    licence : str
        Of the weights, as the file says; ``"unknown"`` where it says nothing.
    sha256 : str
        Of the weights.
    layers : tuple of LayerInfo
        Rotary base, rotated dimensions, pairing and window of each layer of the model.
    heads, kv_heads, head_dim, d_model, vocab : int
        Query head h reads key/value head ``h // (heads // kv_heads)``.
    scale : float
        What query times key is multiplied with before the softmax.
    qk_norm : bool
        Whether queries and keys are normalised before they are rotated.
    context : int
        The most tokens that the model was made for.
    """

    architecture: str
    name: str
    file: str
    licence: str
    sha256: str
    layers: tuple[LayerInfo, ...]
    heads: int
    kv_heads: int
    head_dim: int
    d_model: int
    vocab: int
    scale: float
    qk_norm: bool
    context: int


Tap = Callable[[int, "torch.Tensor", "torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor | None"]
"""``tap(layer, q [H, T, d], k [Hk, T, d], v [Hk, T, d], x [T, d_model])``, with q and k after the rotation, and x what
the projections have read. It returns None, or the attention's output [T, H*d] that is used instead of the exact one."""


class Recordable(Protocol):
    """A model whose attention can be seen: that of a GGUF file, or of a Hugging Face folder."""

    @property
    def config(self) -> ModelConfig:
        """Its shapes and facts."""

    def forward(self, token_ids: Any, tap: Tap | None = None, last: int | None = None) -> torch.Tensor:
        """Run all tokens in one pass; return the logits [T, vocab], or those of the `last` ones, float32."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, with what the model wants at the beginning."""

    def projection(self, layer: int) -> dict[str, Any]:
        """Return the output projection of a layer under the name by which a trace keeps it, or nothing."""
