"""What a KV policy is told before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from .protect import Protect

__all__ = ["Rotary", "Setting"]


@dataclass(frozen=True)
class Rotary:
    """How one layer rotates its queries and keys.

    Attributes
    ----------
    theta : float
    dim : int
        Channels that are rotated, the first ones.
    pairing : {"half", "adjacent"}
        Whether channel j turns with j + dim/2 or with its neighbour.
    """

    theta: float = 10_000.0
    dim: int = 0
    pairing: str = "half"


@dataclass(frozen=True)
class Setting:
    """The shape of the caches and what is allowed in them.

    Attributes
    ----------
    layers, sequences : int
        Layers that are replayed, and texts at a time.
    heads, kv_heads, head_dim : int
        Of each layer. Query head h reads KV head ``h // (heads // kv_heads)``.
    prompt, capacity : int
        Tokens of the prompt, and of prompt and decoding together.
    budget : int
        Slots for each KV head (for each query head where a policy keeps a set for each), on average over the heads and
        layers among which a policy may share out.
    protect : Protect
    seed : int
    scale : float
        Of logits.
    rotary : tuple of Rotary
        Of each layer.
    indices : tuple of int
        The number of each layer in the model: the recorded ones may be a selection.
    """

    layers: int
    sequences: int
    heads: int
    kv_heads: int
    head_dim: int
    prompt: int
    capacity: int
    budget: int
    protect: Protect = field(default_factory=Protect)
    seed: int = 0
    scale: float = 1.0
    rotary: tuple[Rotary, ...] = ()
    indices: tuple[int, ...] = ()

    def rows(self, gqa: str) -> int:
        """Streams of one layer and sequence: KV heads, or query heads where each has a set of its own."""
        return self.heads if gqa == "none" else self.kv_heads

    def streams(self, gqa: str) -> int:
        """All streams: layer by layer, within it sequence by sequence, within it head by head."""
        return self.layers * self.sequences * self.rows(gqa)
