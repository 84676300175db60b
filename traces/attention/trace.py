"""An attention trace: what a model's attention read and wrote over one or more texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import TraceError, UsageError
from .layer import LayerTensors, check_layer, to_bfloat16
from .manifest import LayerInfo, Manifest
from .request import AttentionRequest, Steps
from .weights import OutputProjection

__all__ = ["AttentionTrace"]


@dataclass(frozen=True, eq=False, repr=False)
class AttentionTrace:
    """Recorded queries, keys and values; attention is computed from them, never stored.

    Attributes
    ----------
    manifest : Manifest
    requests : tuple of AttentionRequest
    name : str
        What tables and plots call the trace.
    path : Path or None
        Where it was opened; None in memory.
    projections : tuple of callables
        One per recorded layer: gives its `OutputProjection`, or None. Use `wo`.
    """

    manifest: Manifest
    requests: tuple[AttentionRequest, ...]
    name: str = ""
    path: Path | None = None
    projections: tuple[Callable[[], OutputProjection | None], ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.requests:
            raise TraceError(f"{self.path or self.name}: the trace has no request")
        wanted = len(self.manifest.layers)
        for request in self.requests:
            if len(request.layers) != wanted:
                raise TraceError(f"request {request.id!r} has {len(request.layers)} layers, the manifest {wanted}")

    @classmethod
    def from_arrays(
        cls,
        k: npt.ArrayLike,
        v: npt.ArrayLike,
        q: npt.ArrayLike,
        n_prompt: int,
        *,
        lse: npt.ArrayLike | None = None,
        columns: npt.ArrayLike | None = None,
        x: npt.ArrayLike | None = None,
        wo: npt.ArrayLike | None = None,
        token_ids: npt.ArrayLike | None = None,
        steps: Steps | None = None,
        name: str = "in memory",
        layers: Sequence[LayerInfo] | None = None,
        rope_theta: float = 10_000.0,
        rotary_dim: int | None = None,
        pairing: str = "half",
        window: int | None = None,
        dtype: str | None = None,
        **facts: Any,
    ) -> AttentionTrace:
        """Make a trace of one request in memory.

        Parameters
        ----------
        k, v : array_like of [layers, kv_heads, tokens, head_dim]
            Keys after the rotation; values.
        q : array_like of [layers, heads, queries, head_dim]
            Rotated queries of the last positions.
        n_prompt : int
        lse, columns, x, wo : array_like, optional
            As in `LayerTensors` and `wo`, with a leading axis of layers.
        token_ids : array_like of int [tokens], optional
            0, 1, 2 ... if not given.
        steps : Steps, optional
        name : str
        layers : sequence of LayerInfo, optional
            Else indices 0, 1 ... with `rope_theta`, `rotary_dim` (all of a head), `pairing`, `window`.
        dtype : {"float16", "bfloat16", "float32"}, optional
            To which the tensors are rounded; that of `k` if it is float16, else float32.
        **facts
            Other fields of `Manifest`, for example ``scale`` (head_dim ** -0.5) or ``licence``.

        Raises
        ------
        UsageError
            The arrays are not of four axes.
        TraceError
            Shapes or facts contradict each other.
        """
        k, v, q = np.asarray(k), np.asarray(v), np.asarray(q)
        if not k.ndim == v.ndim == q.ndim == 4:
            raise UsageError(
                f"k, v, q have the shapes {k.shape}, {v.shape}, {q.shape}; expected [layers, heads, tokens, head_dim]"
            )
        n_layers, kv_heads, tokens, head_dim = k.shape
        if not n_layers == len(v) == len(q):
            raise UsageError(f"k, v, q have {n_layers}, {len(v)}, {len(q)} layers")
        if layers is None:
            rotated = head_dim if rotary_dim is None else rotary_dim
            layers = [LayerInfo(i, rope_theta, rotated, pairing, window) for i in range(n_layers)]
        wos = None if wo is None else np.asarray(wo)
        manifest = Manifest(
            **{
                "model": name,
                "dtype": dtype or ("float16" if k.dtype == np.float16 else "float32"),
                "heads": q.shape[1],
                "kv_heads": kv_heads,
                "head_dim": head_dim,
                "scale": head_dim**-0.5,
                "layers": tuple(layers),
                "n_layers": layers[-1].index + 1 if layers else 0,
                "d_model": q.shape[1] * head_dim if wos is None else wos.shape[-1],
                **facts,
            }
        )
        given = {"k": k, "v": v, "q": q, "lse": lse, "columns": columns, "x": x}
        stored = {n: _stored(n, np.asarray(a), manifest.dtype) for n, a in given.items() if a is not None}
        bfloat16 = manifest.dtype == "bfloat16"
        tensors = tuple(
            check_layer(
                LayerTensors(**{n: a[i] for n, a in stored.items()}, bfloat16=bfloat16, source=f"{name}, layer {i}"),
                manifest,
                tokens,
                n_prompt,
            )
            for i in range(n_layers)
        )
        ids = np.arange(tokens, dtype=np.int32) if token_ids is None else np.asarray(token_ids, dtype=np.int32)
        request = AttentionRequest("0", manifest.source, ids, n_prompt, tokens - n_prompt, tensors, steps)
        matrices = () if wos is None else tuple(OutputProjection(w, source=name).check(manifest) for w in wos)
        return cls(manifest, (request,), name, projections=tuple(_always(matrix) for matrix in matrices))

    def request(self, i: int) -> AttentionRequest:
        """The i-th request."""
        return self.requests[i]

    @property
    def group(self) -> int:
        """Query heads per key-value head."""
        return self.manifest.group

    def wo(self, i: int) -> npt.NDArray[np.float32] | None:
        """Output projection of the i-th recorded layer.

        Returns
        -------
        ndarray of float32 [heads * head_dim, d_model], or None
            A new array on each call, so keep it. The block adds ``heads side by side @ wo``. None if not recorded.
        """
        i = range(len(self.manifest.layers))[i]
        projection = self.projections[i]() if self.projections else None
        return None if projection is None else projection.float32()

    @cached_property
    def sha256(self) -> str:
        """Digest of everything the trace holds: the same in memory, in a folder and after copying."""
        digest = hashlib.sha256(self.manifest.to_json().encode())
        for label, array in self._content():
            digest.update(f"{label} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _content(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        for request in self.requests:
            yield f"{request.id!r} {request.n_prompt} {request.n_decode}", request.token_ids
            if request.steps is not None:
                yield from vars(request.steps).items()
            for layer in request.layers:
                yield from layer.named().items()
        for opened in self.projections:
            if (projection := opened()) is not None:
                yield projection.name, projection.stored

    def facts(self) -> dict[str, str]:
        """What a table says about the trace, a row per fact."""
        from ..units import format_bytes

        m = self.manifest
        indices = ", ".join(str(layer.index) for layer in m.layers)
        windows = sorted({layer.window for layer in m.layers if layer.window is not None})
        where = "some" if any(layer.window is None for layer in m.layers) else "all"
        thetas = dict.fromkeys(
            "none" if not layer.rotary_dim else f"{layer.pairing}, theta {layer.rope_theta:g}" for layer in m.layers
        )
        recorded = [request.layers[0].q.shape[1] for request in self.requests]
        return {
            "model": m.model,
            "requests": f"{len(self.requests)}",
            "layers": f"{len(m.layers)} of {m.n_layers}" + (f" ({indices})" if len(m.layers) < m.n_layers else ""),
            "heads": f"{m.heads} of queries, {m.kv_heads} of keys and values",
            "head_dim": f"{m.head_dim}",
            "dtype": m.dtype,
            "rotation": "; ".join(thetas),
            "window": f"{', '.join(map(str, windows))} tokens in {where} layers" if windows else "none",
            "prompt": f"{_range([request.n_prompt for request in self.requests])} tokens",
            "decode": f"{_range([request.n_decode for request in self.requests])} tokens, {m.mode}",
            "bytes per token": f"{format_bytes(m.token_bytes)} per layer, {format_bytes(m.token_bytes * m.n_layers)} in all",
            "recorded queries": f"the last {_range(recorded)} positions",
            "output weights": "recorded"
            if any(opened() is not None for opened in self.projections)
            else "not recorded",
            "text": m.source or "not stated",
            "recorder": m.recorder or "not stated",
            "licence": m.licence or "not stated",
        }

    def __repr__(self) -> str:
        m, first = self.manifest, self.requests[0]
        more = f", requests={len(self.requests)}" if len(self.requests) > 1 else ""
        return (
            f"AttentionTrace({self.name!r}, model={m.model!r}, layers={len(m.layers)}/{m.n_layers}, heads={m.heads}, "
            f"kv_heads={m.kv_heads}, head_dim={m.head_dim}, prompt={first.n_prompt}, decode={first.n_decode}{more})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in self.facts().items())
        return f"<table><caption>{escape(self.name)}</caption>{rows}</table>"


def _stored(name: str, array: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    if name in ("lse", "columns"):
        return np.ascontiguousarray(array, dtype=np.float32)
    if dtype == "bfloat16":
        return array if array.dtype == np.uint16 else to_bfloat16(array)
    return np.ascontiguousarray(array, dtype=dtype)


def _always(matrix: OutputProjection) -> Callable[[], OutputProjection]:
    return lambda: matrix


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
