"""The keys that queries to come will hardly attend to are thrown away: Expected Attention.

Queries to come are taken to be normally distributed, as the prompt's were before their rotation, and to be rotated to the
positions ahead; the mean of the exponential of a normal variable is known in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....traces.attention.rotary import rotate_pairs
from ....traces.errors import UsageError
from ..context import Layer
from ..needs import Needs
from ..pooling import reduce_heads
from ..prompt_scorer import PromptScorer
from ..registry import Session, kv_policy
from ..setting import Rotary, Setting

__all__ = ["ExpectedAttention", "mean_rotation"]

Floats = npt.NDArray[np.floating]


@kv_policy(
    title="Expected Attention",
    year=2025,
    source="https://arxiv.org/abs/2510.00636",
    scorer="expected attention of queries to come, times the norm of the value",
    window="statistics of the whole prompt's queries",
    gqa="mean",
    prompt_only=True,
)
@dataclass(frozen=True)
class ExpectedAttention(PromptScorer):
    """Keeps what queries like those of the prompt would attend to from further ahead.

    Source: kvpress 0.5.5, ``expected_attention_press.py``. Differs from it: the statistics leave out the first four
    queries whatever `sink` is.

    Attributes
    ----------
    future : int
        Positions ahead, over which the rotation is averaged.
    sink : int
        First keys, which always stay.
    gqa : {"mean", "max", "none"}
    covariance : bool
        Whether the spread of the queries counts, or their mean alone.
    norm : bool
        Whether to weigh by the L2 norm of the value.
    epsilon : float
        Added to the attention before that.
    """

    future: int = 512
    sink: int = 4
    gqa: str = "mean"
    covariance: bool = True
    norm: bool = True
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        if self.future < 1 or self.sink < 0:
            raise UsageError(
                f"expected_attention: future={self.future} must be at least 1, and sink={self.sink} not negative"
            )

    def needs(self) -> Needs:
        """Return what it reads."""
        return Needs(keys=True, values=True, query_statistics=True)

    def make(self, setting: Setting) -> Session:
        """Return a session.

        Raises
        ------
        UsageError
            It is to be asked again while decoding, for which nobody keeps statistics of queries.
        """
        if self.interval:
            raise UsageError(
                f"expected_attention:interval={self.interval}: statistics of queries are those of the prompt, so it is "
                "asked once, at the prompt's end; leave interval away"
            )
        return super().make(setting)

    def score(self, layer: Layer) -> Floats:
        """Return the expected attention of each key."""
        sink = min(self.sink, layer.n)
        keys, values = layer.keys[:, sink:], layer.values[:, sink:]
        kv_heads, kept, dim = keys.shape
        scores = np.full((layer.setting.rows(self.gqa), layer.n), np.inf, keys.dtype)
        if not kept:
            return scores
        mean, covariance = layer.query_statistics
        scale = keys.dtype.type(layer.setting.scale)
        turn = mean_rotation(layer.rotary, dim, layer.n, self.future).astype(keys.dtype)
        mean = (mean @ turn.T).reshape(kv_heads, -1, dim)
        logits = (mean @ keys.swapaxes(1, 2)).reshape(layer.heads, kept) * scale
        if self.covariance:
            turned = (turn @ covariance @ turn.T).reshape(kv_heads, -1, dim, dim)
            spread = ((keys[:, None] @ turned) * keys[:, None]).sum(-1).reshape(layer.heads, kept)
            logits += spread * (scale * scale / 2)
        grown = np.exp(logits - logits.max(1, keepdims=True))
        expected = reduce_heads(grown / grown.sum(1, keepdims=True), kv_heads, self.gqa)
        if self.norm:
            size = np.linalg.norm(values, axis=-1)
            size = np.repeat(size, len(expected) // kv_heads, axis=0)
            expected = (expected + keys.dtype.type(self.epsilon)) * size
        scores[:, sink:] = expected
        return scores


def mean_rotation(rotary: Rotary, dim: int, first: int, positions: int) -> npt.NDArray[np.float64]:
    """The mean of the matrices that rotate to ``first, first + 1, ...``: float64[dim, dim], for columns."""
    rotated = rotary.dim or dim
    angles = np.arange(first, first + positions)[:, None] * rotary.theta ** (-np.arange(0, rotated, 2) / rotated)
    cos, sin = np.cos(angles).mean(0), np.sin(angles).mean(0)
    one, other = rotate_pairs(rotated, rotary.pairing)
    turn = np.eye(dim)
    turn[one, one] = turn[other, other] = cos
    turn[one, other], turn[other, one] = -sin, sin
    return turn
