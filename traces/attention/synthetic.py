"""A synthetic attention trace with what real ones have: a sink, heavy hitters, recency, and topics that change.

It is for tests and benchmarks: fast, seeded, of any shape. It is no model, and
no policy may be judged by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UsageError
from .causal import softmax_sums
from .rotary import rotate, rotate_pairs
from .trace import AttentionTrace

__all__ = ["random_attention"]

SINK, HITTER, RECENT, TOPIC = 6.5, 4.0, 3.0, 2.0
"""Logits above the noise: of position 0, of a heavy hitter, of the newest token, of a token of the query's topic."""

HITTER_SHARE = 0.04
"""Share of the positions that every query likes."""

TOPIC_TOKENS, TOPICS = 24, 6
"""Mean length of a stretch about one topic; topics return, so a key may matter again after a long time."""


def random_attention(
    seed: int = 0,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 32,
    prompt: int = 256,
    decode: int = 32,
    pairing: str = "half",
    *,
    rope_theta: float = 10_000.0,
    rotary_dim: int | None = None,
    window: int | None = None,
    softcap: float | None = None,
    dtype: str = "float32",
    prompt_queries: int | None = None,
    d_model: int | None = None,
) -> AttentionTrace:
    """Make a synthetic attention trace of one request, the same for the same arguments.

    Before the rotation each key is noise plus a few directions that its queries share: one common to
    all queries (position 0 has much of it, a few random positions some), one per topic (the text
    changes its topic at random), and one in the fast pairs of coordinates, which only nearby positions
    keep aligned once rotated. The value at position 0 is small, as at the sinks of real models.

    Parameters
    ----------
    seed : int
    layers, heads, kv_heads, head_dim : int
        `heads` a multiple of `kv_heads`; `head_dim` even and at least 4.
    prompt, decode : int
        Tokens.
    pairing : {"half", "adjacent"}
    rope_theta : float
    rotary_dim : int, optional
        All of a head if not given.
    window : int, optional
        Keys that a query sees, in every layer.
    softcap : float, optional
    dtype : {"float16", "bfloat16", "float32"}
    prompt_queries : int, optional
        How many of the prompt's last queries are kept; all if not given. `lse` and `columns`
        are always computed from all of them, before rounding to `dtype`, as a recorder would.
    d_model : int, optional
        Of the random output projection; heads * head_dim if not given.

    Raises
    ------
    UsageError
        A size is impossible.
    """
    if head_dim < 4 or head_dim % 2 or min(layers, kv_heads, prompt) < 1 or decode < 0 or heads % kv_heads:
        raise UsageError(
            f"layers={layers}, heads={heads}, kv_heads={kv_heads}, head_dim={head_dim}, prompt={prompt}, "
            f"decode={decode}: sizes are positive, head_dim is even and at least 4, heads is a multiple of kv_heads"
        )
    kept = prompt if prompt_queries is None else prompt_queries
    if not 0 <= kept <= prompt or kept + decode < 1:
        raise UsageError(f"prompt_queries={kept} must lie between 0 and prompt={prompt}, and leave a query")
    rng = np.random.default_rng(seed)
    rotated = head_dim if rotary_dim is None else rotary_dim
    positions = np.arange(prompt + decode)
    parts: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in ("k", "v", "q", "lse", "columns", "wo")}
    width = heads * head_dim if d_model is None else d_model
    for _ in range(layers):
        queries, keys = _unrotated(rng, heads, kv_heads, head_dim, len(positions), rotated, pairing)
        q = rotate(queries, positions, rope_theta, pairing, rotated)
        k = rotate(keys, positions, rope_theta, pairing, rotated)
        v = rng.standard_normal((kv_heads, len(positions), head_dim), dtype=np.float32)
        v[:, 0] *= 0.1
        lse, columns = softmax_sums(q, k, head_dim**-0.5, window=window, softcap=softcap, n_prompt=prompt)
        wo = rng.standard_normal((heads * head_dim, width), dtype=np.float32) / np.float32(heads * head_dim) ** 0.5
        last = slice(prompt - kept, None)
        for name, array in zip(parts, (k, v, q[:, last], lse[:, last], columns, wo), strict=True):
            parts[name].append(array)
    arrays: dict[str, Any] = {name: np.stack(layer_by_layer) for name, layer_by_layer in parts.items()}
    return AttentionTrace.from_arrays(
        **arrays,
        n_prompt=prompt,
        token_ids=rng.integers(0, 1000, len(positions)),
        name=f"random:seed={seed}",
        model="synthetic",
        source="synthetic: no text",
        licence="Apache-2.0",
        recorder="evictlab random_attention",
        mode="synthetic",
        rope_theta=rope_theta,
        rotary_dim=rotated,
        pairing=pairing,
        window=window,
        softcap=softcap,
        dtype=dtype,
    )


def _unrotated(
    rng: np.random.Generator, heads: int, kv_heads: int, head_dim: int, tokens: int, rotary_dim: int, pairing: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Queries [heads, tokens, head_dim] and keys [kv_heads, tokens, head_dim] before the rotation."""
    one, other = rotate_pairs(rotary_dim, pairing)
    fast = np.concatenate([pair[: len(one) // 2] for pair in (one, other)])
    # Directions of meaning live where the rotation hardly reaches: the slowest pairs, and what is not rotated at all.
    slowest = -max(1, len(one) // 4)
    slow = np.concatenate([one[slowest:], other[slowest:], np.arange(rotary_dim, head_dim)])
    topics = _topics(rng, tokens)
    hitters = rng.random(tokens) < HITTER_SHARE
    liked = np.where(hitters, HITTER, 0.0)
    liked[0] = SINK
    q = np.empty((heads, tokens, head_dim), dtype=np.float32)
    k = np.empty((kv_heads, tokens, head_dim), dtype=np.float32)
    root = head_dim**0.25  # logits are divided by the root of head_dim: each side carries half of it
    group = heads // kv_heads
    for kv in range(kv_heads):
        common, near = _unit(rng, slow, head_dim), _unit(rng, fast, head_dim)
        of_topic = np.stack([_unit(rng, slow, head_dim) for _ in range(TOPICS)])[topics]
        noise = rng.standard_normal((tokens, head_dim))
        k[kv] = root * (liked[:, None] * common + RECENT**0.5 * near + TOPIC**0.5 * of_topic) + noise
        for head in range(kv * group, (kv + 1) * group):
            # The heads of a group differ in how far they look for what is near and for what is alike.
            taste = rng.uniform(0.6, 1.3, size=3)
            shared = taste[0] * common + taste[1] * RECENT**0.5 * near + taste[2] * TOPIC**0.5 * of_topic
            q[head] = root * shared + 0.5 * rng.standard_normal((tokens, head_dim))
    return q, k


def _topics(rng: np.random.Generator, tokens: int) -> npt.NDArray[np.int64]:
    """The topic of each position: stretches of random length."""
    changes = rng.random(tokens) < 1 / TOPIC_TOKENS
    stretch = np.cumsum(changes)
    of_stretch: npt.NDArray[np.int64] = rng.integers(0, TOPICS, stretch[-1] + 1)
    return of_stretch[stretch]


def _unit(rng: np.random.Generator, where: npt.NDArray[np.int64], head_dim: int) -> npt.NDArray[np.float64]:
    """A random direction of length 1 in some of the coordinates; zero if there are none."""
    direction = np.zeros(head_dim)
    direction[where] = rng.standard_normal(len(where))
    return direction / max(float(np.linalg.norm(direction)), 1e-12)
