"""The tensors of one recorded layer, as stored, and as float32 for whoever computes with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError
from .manifest import Manifest

__all__ = ["LayerTensors", "check_layer", "from_bfloat16", "to_bfloat16"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class LayerTensors:
    """Queries, keys and values of one layer for one request, usually memory-mapped.

    Attributes
    ----------
    k, v : ndarray of [kv_heads, tokens, head_dim]
        Keys after the rotation, as they lie in the cache; values.
    q : ndarray of [heads, queries, head_dim]
        Rotated queries of the last positions: row 0 is position `q_start`.
    lse : ndarray of float32 [heads, queries], or None
        Natural logarithm of the sum of exp(logit) over the keys that the query sees, as the recorder found it.
    columns : ndarray of float32 [heads, prompt], or None
        For each key of the prompt, its attention weights summed over all queries of the prompt.
    x : ndarray of [tokens, d_model], or None
        What enters the attention block.
    bfloat16 : bool
        `k`, `v`, `q`, `x` are bfloat16 bits, held as uint16.
    source : str
        File, for errors.
    """

    k: npt.NDArray[Any]
    v: npt.NDArray[Any]
    q: npt.NDArray[Any]
    lse: Floats | None = None
    columns: Floats | None = None
    x: npt.NDArray[Any] | None = None
    bfloat16: bool = False
    source: str = "this trace"

    def k32(self) -> Floats:
        """Keys as a new float32 array [kv_heads, tokens, head_dim]; made on each call, so keep it."""
        return self._float32("k", self.k)

    def v32(self) -> Floats:
        """Values as a new float32 array [kv_heads, tokens, head_dim]; made on each call, so keep it."""
        return self._float32("v", self.v)

    def q32(self) -> Floats:
        """Queries as a new float32 array [heads, queries, head_dim]; made on each call, so keep it."""
        return self._float32("q", self.q)

    def x32(self) -> Floats | None:
        """What enters the attention block, as a new float32 array [tokens, d_model], or None."""
        return None if self.x is None else self._float32("x", self.x)

    @property
    def tokens(self) -> int:
        """Positions with a key and a value."""
        return int(self.k.shape[1])

    @property
    def q_start(self) -> int:
        """Position of the first recorded query; the last one is the last position."""
        return self.tokens - int(self.q.shape[1])

    def named(self) -> dict[str, npt.NDArray[Any]]:
        """The tensors that are there, by name, as stored."""
        every = {name: getattr(self, name) for name in ("k", "v", "q", "lse", "columns", "x")}
        return {name: array for name, array in every.items() if array is not None}

    def _float32(self, name: str, stored: npt.NDArray[Any]) -> Floats:
        """Convert, and refuse what is not finite: one NaN in a key would silently poison every query after it."""
        made = from_bfloat16(stored) if self.bfloat16 else stored.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            # A sum is finite unless a term is not (or it overflows): one cheap pass, the slow look only if needed.
            suspect = not np.isfinite(made.sum(dtype=np.float32))
        if suspect and (bad := np.argwhere(~np.isfinite(made))).size:
            first = tuple(bad[0].tolist())
            raise FormatError(
                self.source,
                f"{name}{list(first)} is {made[first]}, one of {len(bad):,} numbers that are not finite",
                hint="A model that overflows float16 must be recorded as bfloat16 or float32.",
            )
        return made

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}={list(array.shape)}" for name, array in self.named().items())
        return f"LayerTensors({shapes}, {'bfloat16' if self.bfloat16 else self.k.dtype})"


def check_layer(layer: LayerTensors, manifest: Manifest, tokens: int, n_prompt: int) -> LayerTensors:
    """Return `layer` if its shapes and number types are those of the manifest and of the request.

    Raises
    ------
    FormatError
        They are not; the tensor, what it has and what was expected are named.
    """
    m, queries = manifest, layer.q.shape[1] if layer.q.ndim == 3 else 0
    expected: dict[str, tuple[int | None, ...]] = {
        "k": (m.kv_heads, tokens, m.head_dim),
        "v": (m.kv_heads, tokens, m.head_dim),
        "q": (m.heads, queries, m.head_dim),
        "lse": (m.heads, queries),
        "columns": (m.heads, n_prompt),
        "x": (tokens, m.d_model),
    }
    stored = "uint16" if m.dtype == "bfloat16" else m.dtype
    for name, array in layer.named().items():
        want, dtype = expected[name], "float32" if name in ("lse", "columns") else stored
        if len(want) != array.ndim or any(w not in (None, n) for w, n in zip(want, array.shape, strict=False)):
            raise FormatError(
                layer.source,
                f"{name} has the shape {list(array.shape)}, and the manifest and the request say {list(want)}",
                hint="Heads, head_dim and d_model come from manifest.json, tokens from token_ids in requests.parquet.",
            )
        if array.dtype.name != dtype:
            found = "bfloat16" if array.dtype.name == "uint16" else array.dtype.name  # its bits are held so
            raise FormatError(
                layer.source, f"{name} is {found}, and the manifest says {m.dtype if dtype == stored else dtype}"
            )
    if layer.bfloat16 != (m.dtype == "bfloat16"):
        raise FormatError(layer.source, f"bfloat16 is {layer.bfloat16}, and the manifest says {m.dtype}")
    if queries > tokens:
        raise FormatError(
            layer.source,
            f"q holds {queries} queries, and there are only {tokens} positions: more queries than positions",
            hint="Each position has one query per head; q holds those of the last positions.",
        )
    if queries < tokens - n_prompt:
        raise FormatError(
            layer.source,
            f"q holds {queries} queries of {tokens} positions, of which {tokens - n_prompt} are decoded ones",
            hint="Record at least the queries of all decoded positions.",
        )
    return layer


def from_bfloat16(bits: npt.NDArray[np.uint16]) -> Floats:
    """bfloat16 bits as float32, exactly: they are its upper half."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_bfloat16(values: npt.ArrayLike) -> npt.NDArray[np.uint16]:
    """Finite float32 rounded to the nearest bfloat16, halfway cases to the even one, as bits."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
