"""The recall model in torch, for training: the same arithmetic as `evictlab.sim.attention.recall.model`, with gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ...sim.attention.recall.model import EPSILON, Config, shapes

__all__ = ["forward", "fresh"]


def fresh(config: Config, seed: int) -> dict[str, Tensor]:
    """Draw weights to begin with: gains 1, shares of smearing one half, matrices normal.

    Matrices that add to what came in (``o``, ``down``) begin smaller the more layers add to it.

    Parameters
    ----------
    config : Config
    seed : int

    Returns
    -------
    dict of str to Tensor
        Float32 leaves that require gradients, named as in `evictlab.sim.attention.recall.model.shapes`.
    """
    dice = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes(config).items():
        kind = name.rsplit(".", 1)[-1]
        if kind == "smear":
            weight = torch.zeros(shape)
        elif kind.endswith("norm"):
            weight = torch.ones(shape)
        else:
            spread = 0.02 if kind == "embed" else shape[0] ** -0.5
            spread *= (2 * config.layers) ** -0.5 if kind in ("o", "down") else 1
            weight = torch.randn(shape, generator=dice) * spread
        weights[name] = weight.requires_grad_()
    return weights


def forward(weights: Mapping[str, Tensor], config: Config, tokens: Tensor) -> Tensor:
    """Read whole sequences: int64[S, T] -> float32[S, T, width], after the last norm."""
    x = weights["embed"][tokens]
    n_sequences, n, width = x.shape
    half = config.head_dim // 2
    angles = torch.arange(n)[:, None] * config.theta ** (-torch.arange(half) / half)
    cos, sin = angles.cos(), angles.sin()

    def norm(x: Tensor, gain: str) -> Tensor:
        return F.rms_norm(x, (width,), weights[gain], EPSILON)

    def rotate(x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    for i in range(config.layers):
        layer = f"layers.{i}."
        y = norm(x, layer + "attention_norm")
        q, k, v = ((y @ weights[layer + name]).view(n_sequences, n, config.heads, -1).transpose(1, 2) for name in "qkv")
        share = weights[layer + "smear"].sigmoid()[:, None, None]
        k = (1 - share) * k + share * F.pad(k[:, :, :-1], (0, 0, 1, 0))
        read = F.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
        x = x + read.transpose(1, 2).reshape(x.shape) @ weights[layer + "o"]
        x = x + F.silu(norm(x, layer + "network_norm") @ weights[layer + "up"]) @ weights[layer + "down"]
    return norm(x, "norm")
